// Fields of bodies: their surfaces beside those of held-out fields, and baselines. Figures of a group: iou (of fields
// with a signal), recognised (of those with a class), memorised, and of Chamfer's and the earth mover's distance to the
// references mmd, coverage and one_nna each ("mmd_chamfer"); values: distance and nearest, of every field Chamfer's
// distance to the nearest training shape, and its row of the zoo.
#include "data/solids.h"
#include "engine/tasks/eval_file.h"
#include "engine/tasks/fields/field_rows.h"
#include "engine/tasks/fields/signals.h"
#include "shape_judge.h"
#include "shape_sheets.h"
#include <fmt/core.h>

namespace theta {

namespace {

ShapeJudge judge_of(const EvalConfig &eval, std::uint64_t seed, const NetworkShape &shape, const DatasetSizes &sizes) {
  return ShapeJudge(shape, sizes, even_points(sizes.pixels), eval.networks, eval.wave, seed);
}

GroupReport report_of(const ShapeReport &r) {
  GroupReport report{.name = r.name, .networks = r.networks, .broken = r.broken};
  const std::size_t n = r.distance.size();
  if (n == 0)
    return report;
  report.figures["memorised"] = estimate_of(r.memorised);
  if (r.iou > 0)
    report.figures["iou"] = {.value = r.iou, .n = n};
  if (r.recognised.n > 0)
    report.figures["recognised"] = estimate_of(r.recognised);
  for (const auto &[by, agreement] : {std::pair{"chamfer", &r.chamfer}, {"earth_mover", &r.earth_mover}}) {
    report.figures[text("mmd_", by)] = {.value = agreement->mmd, .n = n};
    report.figures[text("coverage_", by)] = {.value = agreement->coverage, .n = n};
    report.figures[text("one_nna_", by)] = estimate_of(agreement->one_nna);
  }
  report.values = {{"distance", {r.distance.begin(), r.distance.end()}},
                   {"nearest", {r.nearest.begin(), r.nearest.end()}}};
  return report;
}

class BodiesTask : public Task {
public:
  const char *name() const override { return "bodies"; }
  bool takes(const NetworkShape &shape, const DatasetSizes &sizes, const ZooReader *zoo) const override {
    return sizes.dimensions == 3 && is_field_of(shape, sizes) && (!zoo || zoo->has_column("signal"));
  }
  std::vector<float> points(const DatasetSizes &sizes) const override { return even_points(sizes.pixels); }
  std::vector<MemoryPlan> plans(const EvalSizes &of) const override {
    return copies_of(judge_of(of.eval, of.seed, of.shape, of.data).plans());
  }
  std::vector<GroupReport> judge(const EvalWork &work, Journal &journal) const override {
    const FieldRows rows(work);
    ShapeJudge judge = judge_of(work.eval, work.seed, work.shape, sizes_of(work.data));
    judge.start(work.device, work.data, rows.references().networks, rows.training(), rows.control().networks);
    return rows.judged(journal, "distance", [&](const std::string &name, const GroupNetworks &group) {
      return report_of(judge.judge(name, group));
    });
  }
  std::string table(const std::vector<GroupReport> &reports) const override {
    std::string out = fmt::format("{:<14} {:>5} {:>7} {:>6}  {:>18}  {:>18}  {:>8} {:>8} {:>18}  {:>8} {:>8} {:>18}\n",
                                  "group", "n", "broken", "IoU", "recognised (95 %)", "memorised (95 %)", "MMD-CD",
                                  "COV-CD", "1-NNA-CD (95 %)", "MMD-EMD", "COV-EMD", "1-NNA-EMD (95 %)");
    for (const GroupReport &r : reports) {
      out += fmt::format("{:<14} {:>5} {:>7} ", r.name, r.networks, r.broken);
      if (r.of("distance").empty()) {
        out += " (none with a surface)\n";
        continue;
      }
      const Estimate iou = r.figure("iou");
      out += fmt::format("{:>6}  {:>18}  {:>18} ", iou.n > 0 ? fmt::format("{:.3f}", iou.value) : "",
                         shown_share(r.figure("recognised")), shown_share(r.figure("memorised")));
      for (const char *by : {"chamfer", "earth_mover"})
        out += fmt::format(" {:>8.4f} {:>8.2f} {:>18} ", r.figure(text("mmd_", by)).value,
                           r.figure(text("coverage_", by)).value, shown_share(r.figure(text("one_nna_", by))));
      out += "\n";
    }
    return out + verdicts_of(reports);
  }
  std::vector<std::filesystem::path> draw(const EvalWork &work, const std::vector<GroupReport> &reports,
                                          const std::filesystem::path &folder,
                                          const std::filesystem::path &) const override {
    return draw_shapes(folder, work.shape, work.device, work.zoo, *work.samples, reports);
  }
};

} // namespace

std::unique_ptr<const Task> make_bodies_task() { return std::make_unique<BodiesTask>(); }

} // namespace theta
