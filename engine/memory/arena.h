// One allocation per device for a whole plan; views into it.
#pragma once
#include "kernels/device.h"
#include "plan.h"

namespace theta {

class Arena {
public:
  // Takes the plan's device bytes on `device` (and its staging bytes in pinned host memory), to the byte. The plan must
  // outlive the arena. Throws Error when they are not to be had, or when the plan holds doubles for a GPU.
  Arena(Device device, const MemoryPlan &plan);

  // The elements of a slot. Throws Error when T is not the slot's type.
  template <class T> T *at(Slot s) const {
    const auto &entry = (*plan_)[s];
    if (entry.dtype != dtype_of<T>)
      throw Error("arena ", plan_->name(), ": '", entry.name, "' is ", name_of(entry.dtype), ", not ",
                  name_of(dtype_of<T>));
    return reinterpret_cast<T *>((entry.on_host() ? host_ : block_).data() + entry.offset);
  }
  std::size_t device_bytes() const { return block_.bytes(); }
  std::size_t host_bytes() const { return host_.bytes(); }

private:
  const MemoryPlan *plan_;
  Memory block_, host_;
};

} // namespace theta
