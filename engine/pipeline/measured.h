// The memory of a stage, watched while it works.
#pragma once
#include "kernels/device/memory_watch.h"
#include "stages.h"
#include <algorithm>

namespace theta {

// What a stage's memory was at the most, beside what its largest plan says, into the metrics.
class Stages::Measured {
public:
  Measured(Stages &stages, const char *stage) : stages_(stages), stage_(stage), watch_(stages.run_.device) {
    stages.journal_.rewind_metrics(std::string(stage) + ".memory", -1);
  }
  ~Measured() {
    std::size_t planned = 0;
    for (const MemoryPlan &plan : stages_.plans_)
      if (plan.name().starts_with(stage_))
        planned = std::max(planned, plan.bytes_on(stages_.run_.device.backend));
    try {
      stages_.journal_.metrics(std::string(stage_) + ".memory", 0,
                               {{"planned_bytes", double(planned)},
                                {"peak_bytes", double(watch_.peak())},
                                {"before_bytes", double(watch_.before())}});
    } catch (...) { // the stage's own error says more
    }
  }

private:
  Stages &stages_;
  const char *stage_;
  MemoryWatch watch_;
};

} // namespace theta
