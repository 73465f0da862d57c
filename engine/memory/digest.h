// Plans for people: where the bytes go, when they live, and what would make them fewer.
#pragma once
#include "plan.h"

namespace theta {

// The moment of a plan's work at which most of the device is alive: a tick, and the bytes that live then.
struct Peak {
  int tick = 0;
  std::size_t bytes = 0;
};
Peak peak_of(const MemoryPlan &);
std::size_t alive_at(const MemoryPlan &, int tick);                   // device bytes
std::size_t alive_at(const MemoryPlan &, int tick, MemoryClass kind); // of a class; of staging, the host's

// A line a stage: device, host, the three largest entries, and the settings that make them smaller.
std::string summary_of(const std::vector<MemoryPlan> &);
// A line a stage: what each class holds at the stage's peak.
std::string classes_of(const std::vector<MemoryPlan> &);
// What lives when: the `most` largest entries as bars over the plan's time, and above them the bytes alive.
std::string waterfall_of(const MemoryPlan &, std::size_t most = 12);

} // namespace theta
