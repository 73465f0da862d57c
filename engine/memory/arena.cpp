#include "arena.h"

namespace theta {

Arena::Arena(Device device, const MemoryPlan &plan)
    : plan_(&plan), block_(device, plan.device_bytes()), host_(device, plan.host_bytes(), Memory::Kind::pinned) {
  if (device.backend == Backend::cuda)
    for (const auto &entry : plan.entries())
      if (entry.dtype == Dtype::f64)
        throw Error("arena ", plan.name(), ": '", entry.name, "' is F64, which lives on the cpu alone");
}

} // namespace theta
