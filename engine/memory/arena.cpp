#include "arena.h"

namespace theta {

Arena::Arena(Device device, const MemoryPlan &plan)
    : block_(device, plan.device_bytes()), host_(device, plan.host_bytes(), Memory::Kind::pinned) {
  if (!plan.is_placed() && !plan.entries().empty())
    throw Error("arena ", plan.name(), ": the plan has not been placed");
  for (const auto &entry : plan.entries()) {
    if (device.backend == Backend::cuda && entry.dtype == Dtype::f64 && !entry.on_host())
      throw Error("arena ", plan.name(), ": '", entry.name, "' is F64, which lives on the cpu alone");
    if (*entry.at)
      throw Error("arena ", plan.name(), ": another one holds this plan");
  }
  for (const auto &entry : plan.entries()) {
    *entry.at = (entry.on_host() ? host_ : block_).data() + entry.offset;
    held_.push_back(entry.at);
  }
}

Arena::~Arena() {
  for (const auto &at : held_)
    *at = nullptr;
}

} // namespace theta
