// The loop that every training shares: steps, metrics, progress, saving now and then, and stopping when asked to.
#pragma once
#include "interrupt.h"
#include "journal.h"
#include "kernels/device/error.h"
#include "kernels/device/trace.h"
#include <algorithm>
#include <chrono>
#include <cmath>
#include <fmt/core.h>

namespace theta {

struct StepLoop {
  Journal &journal;
  std::string stage;
  long steps;
  bool save_every_step = false; // else every ten seconds
  static constexpr double save_seconds = 10;

  using Clock = std::chrono::steady_clock;
  static double since(Clock::time_point t) { return std::chrono::duration<double>(Clock::now() - t).count(); }

  // Runs step(i, report) for i = first..steps−1; it returns metrics, the loss first, when `report` asks for them. A
  // loss that is not finite ends the loop with an Error; what was saved before stays. save(done) must leave a state
  // that continues with step `done`, also where a step was left by Interrupted, having changed nothing that is saved.
  // Throws Interrupted, after saving, when asked to stop.
  template <class Step, class Save> void run(long first, Step step, Save save) {
    journal.rewind_metrics(stage, first);
    Progress progress(journal, stage, "steps", double(steps), double(first));
    auto saved = Clock::now();
    std::string detail;
    const long report_every = std::clamp(steps / 100, 1L, 50L); // steps between lines of metrics
    for (long i = first; i < steps; ++i) {
      const Span span("step");
      const bool report = (i + 1) % report_every == 0 || i + 1 == steps;
      const bool stop = interrupted(), save_now = stop || save_every_step || since(saved) > save_seconds;
      std::vector<std::pair<std::string, double>> metrics;
      try {
        metrics = step(i, report || save_now);
      } catch (const Interrupted &) {
        save(i);
        throw Interrupted(stage, ": stopped after step ", i, " of ", steps, "; the same command continues it");
      }
      if (!metrics.empty() && !std::isfinite(metrics[0].second))
        throw Error(stage, ": the loss is ", metrics[0].second, " at step ", i + 1, " of ", steps,
                    "; a smaller lr, or clipping by max_norm, usually helps");
      if (report) {
        journal.metrics(stage, i + 1, metrics);
        detail = metrics.empty() ? "" : fmt::format("{} {:.4g}", metrics[0].first, metrics[0].second);
      }
      progress.update(double(i + 1), detail);
      if (save_now) { // what is saved has a loss that was looked at
        save(i + 1);
        saved = Clock::now();
      }
      if (stop)
        throw Interrupted(stage, ": stopped after step ", i + 1, " of ", steps, "; the same command continues it");
    }
  }
};

} // namespace theta
