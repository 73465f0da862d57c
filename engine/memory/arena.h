// One allocation per device for a whole plan.
#pragma once
#include "kernels/device/device.h"
#include "plan.h"

namespace theta {

// While it lives, the tensors of the plan are there; a plan has one arena at a time.
class Arena {
public:
  // Takes the plan's device bytes on `device` (and its staging bytes in pinned host memory), to the byte. Throws Error
  // when they are not to be had, when the plan is not placed or in memory already, or when it holds doubles for a GPU,
  // staging aside.
  Arena(Device device, const MemoryPlan &plan);
  ~Arena();
  Arena(const Arena &) = delete;
  Arena(Arena &&) = default;

  std::size_t device_bytes() const { return block_.bytes(); }
  std::size_t host_bytes() const { return host_.bytes(); }

private:
  Memory block_, host_;
  std::vector<std::shared_ptr<std::byte *>> held_; // where the plan's tensors look
};

} // namespace theta
