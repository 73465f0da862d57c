// The loop that every training shares: steps, metrics, progress, saving now and then, and stopping when asked to.
#pragma once
#include "interrupt.h"
#include "journal.h"
#include "kernels/device/error.h"
#include <algorithm>
#include <fmt/core.h>

namespace theta {

struct StepLoop {
  Journal &journal;
  std::string stage;
  long steps;
  static constexpr double save_seconds = 10;

  // Runs step(i, report) for i = first..steps−1; it returns metrics when `report` asks for them. save(done) must leave
  // a state that continues with step `done`, also where a step was left by Interrupted, having changed nothing that is
  // saved. Throws Interrupted, after saving, when asked to stop.
  template <class Step, class Save> void run(long first, Step step, Save save) {
    journal.rewind_metrics(stage, first);
    Progress progress(journal, stage, "steps", double(steps), double(first));
    using Clock = std::chrono::steady_clock;
    auto saved = Clock::now();
    std::string detail;
    const long report_every = std::clamp(steps / 100, 1L, 50L); // steps between lines of metrics
    for (long i = first; i < steps; ++i) {
      const bool report = (i + 1) % report_every == 0 || i + 1 == steps;
      std::vector<std::pair<std::string, double>> metrics;
      try {
        metrics = step(i, report);
      } catch (const Interrupted &) {
        save(i);
        throw Interrupted(stage, ": stopped after step ", i, " of ", steps, "; the same command continues it");
      }
      if (report) {
        journal.metrics(stage, i + 1, metrics);
        detail = metrics.empty() ? "" : fmt::format("{} {:.4g}", metrics[0].first, metrics[0].second);
      }
      progress.update(double(i + 1), detail);
      const bool stop = interrupted();
      if (stop || std::chrono::duration<double>(Clock::now() - saved).count() > save_seconds) {
        save(i + 1);
        saved = Clock::now();
      }
      if (stop)
        throw Interrupted(stage, ": stopped after step ", i + 1, " of ", steps, "; the same command continues it");
    }
  }
};

} // namespace theta
