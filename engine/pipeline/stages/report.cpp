// The stage that draws what was found.
#include "data/hash.h"
#include "engine/report/plane_chart.h"
#include "engine/tasks/eval_file.h"
#include "kernels/device/trace.h"
#include "member.h"
#include "trajectories_file.h"

namespace theta {

namespace {

class ReportStage : public Stage {
public:
  const char *name() const override { return "report"; }
  bool needs_task() const override { return true; }
  std::string key(Member &m) const override { return m.key("eval"); }
  void run(Member &m) const override {
    const Span span("report");
    const NetworkShape &shape = m.shape("report");
    const ZooReader zoo(m.zoo_path()), samples(m.samples_path());
    const Split split = split_of(zoo, m.config().fit);
    auto drawn = m.task()->draw({m.config().eval, m.config().seed, shape, m.device(), m.budget(), m.data(), zoo,
                                 split.training, split.held_out, &samples, m.out()},
                                read_eval(m.eval_path()), m.out() / "report", m.out() / "metrics.jsonl");
    if (std::filesystem::exists(m.out() / "trajectories.json")) {
      drawn.push_back(m.out() / "report" / "trajectories.png");
      plane_chart(read_trajectories(m.out() / "trajectories.json")).save(drawn.back());
    }
    for (const auto &path : drawn)
      m.journal().line("report: " + path.string());
  }
};

} // namespace

std::unique_ptr<const Stage> make_report_stage() { return std::make_unique<ReportStage>(); }

} // namespace theta
