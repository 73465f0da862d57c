// The memory of a stage, watched while it works.
#pragma once
#include "kernels/device/memory_watch.h"
#include "member.h"
#include <algorithm>

namespace theta {

// What a stage's memory was at the most, beside what its largest plan says, into the metrics.
class Measured {
public:
  Measured(Member &member, const char *stage) : Measured(member, stage, member.journal()) {}
  Measured(Member &member, const char *stage, Journal &journal)
      : member_(member), stage_(stage), journal_(journal), watch_(member.device()) {
    journal_.rewind_metrics(std::string(stage) + ".memory", -1);
  }
  ~Measured() {
    std::size_t planned = 0;
    for (const MemoryPlan &plan : member_.plans())
      if (plan.name().starts_with(stage_))
        planned = std::max(planned, plan.bytes_on(member_.device().backend));
    try {
      journal_.metrics(std::string(stage_) + ".memory", 0,
                       {{"planned_bytes", double(planned)},
                        {"peak_bytes", double(watch_.peak())},
                        {"before_bytes", double(watch_.before())}});
    } catch (...) { // the stage's own error says more
    }
  }

private:
  Member &member_;
  const char *stage_;
  Journal &journal_;
  MemoryWatch watch_;
};

} // namespace theta
