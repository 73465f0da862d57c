// Fields of images: what they show, judged by a classifier, beside held-out fields and baselines. Figures of a group:
// recognised (of those with a class), frechet, precision and recall (of the references, by the classifier's features),
// class_recall and class_variance (the same within a class), dispersion (class_variance over that of the group beside),
// memorised and memorised_images (nearer to training fields, or images, than to control ones); values: psnr and image,
// of every field the training image that is nearest, and how near in decibels.
#include "engine/tasks/eval_file.h"
#include "field_judge.h"
#include "field_sheets.h"
#include "signals.h"
#include <cmath>
#include <fmt/core.h>

namespace theta {

namespace {

int side_of(const DatasetSizes &sizes) { return int(std::lround(std::sqrt(double(sizes.pixels)))); }

FieldJudge judge_of(const EvalConfig &eval, std::uint64_t seed, const NetworkShape &shape, const DatasetSizes &sizes,
                    Backend backend) {
  return FieldJudge(shape, sizes, side_of(sizes), eval.wave, seed, backend);
}

GroupReport report_of(FieldReport r) {
  GroupReport report{.name = r.name, .networks = r.networks, .broken = r.broken};
  if (r.psnr.empty())
    return report;
  report.figures = {{"frechet", {.value = r.frechet, .n = r.psnr.size()}},
                    {"precision", {.value = r.covers.precision, .n = r.psnr.size()}},
                    {"recall", {.value = r.covers.recall, .n = r.psnr.size()}},
                    {"memorised", estimate_of(r.memorised)},
                    {"memorised_images", estimate_of(r.memorised_images)}};
  if (r.recognised.n > 0)
    report.figures["recognised"] = estimate_of(r.recognised);
  if (r.in_class.classes > 0) {
    report.figures["class_recall"] = {.value = r.in_class.recall, .n = r.psnr.size()};
    report.figures["class_variance"] = {.value = r.in_class.variance, .n = r.psnr.size()};
  }
  report.values = {{"psnr", std::move(r.psnr)}, {"image", {r.image.begin(), r.image.end()}}};
  return report;
}

class FieldsTask : public Task {
public:
  const char *name() const override { return "fields"; }
  bool takes(const NetworkShape &shape, const DatasetSizes &sizes, const ZooReader *zoo) const override {
    return sizes.dimensions == 2 && sizes.classes > 1 && is_field_of(shape, sizes) &&
           (!zoo || (zoo->has_column("signal") && zoo->has_column("class")));
  }
  std::vector<float> points(const DatasetSizes &sizes) const override { return pixel_grid(side_of(sizes)); }
  std::vector<MemoryPlan> plans(const EvalSizes &of) const override {
    return copies_of(judge_of(of.eval, of.seed, of.shape, of.data, of.backend).plans());
  }
  std::vector<GroupReport> judge(const EvalWork &work, Journal &journal) const override {
    const FieldRows rows(work);
    FieldJudge judge = judge_of(work.eval, work.seed, work.shape, sizes_of(work.data), work.device.backend);
    judge.start(work.device, work.data, rows.references(), rows.training(), rows.control(), journal);
    auto reports = rows.judged(journal, "psnr", [&](const std::string &name, const GroupNetworks &group) {
      return report_of(judge.judge(name, group));
    });
    const Estimate theirs = reports[1].figure("class_variance"); // of held-out fields, a class of which is a class's
    for (GroupReport &report : reports)
      if (const Estimate mine = report.figure("class_variance"); mine.n > 0 && theirs.n > 0)
        report.figures["dispersion"] = {.value = mine.value / theirs.value, .n = mine.n};
    return reports;
  }
  std::string table(const std::vector<GroupReport> &reports) const override {
    std::string out =
        fmt::format("{:<14} {:>5} {:>7}  {:>18}  {:>9}  {:>9}  {:>6}  {:>12}  {:>10}  {:>18}  {:>18}  {:>14}\n",
                    "group", "n", "broken", "recognised (95 %)", "Fréchet", "precision", "recall", "class recall",
                    "dispersion", "memorised (95 %)", "of images (95 %)", "dB to nearest");
    const auto shown = [](const Estimate &e) { return e.n == 0 ? std::string() : fmt::format("{:.2f}", e.value); };
    for (const GroupReport &r : reports) {
      if (r.of("psnr").empty()) {
        out += fmt::format("{:<14} {:>5} {:>7}  (none that works)\n", r.name, r.networks, r.broken);
        continue;
      }
      const Summary psnr = summarise(r.of("psnr"));
      out += fmt::format("{:<14} {:>5} {:>7}  {:>18}  {:>8.2f}  {:>9.2f}  {:>6.2f}  {:>12}  {:>10}  {:>18}  {:>18}  "
                         "{:>6.1f} ± {:<5.1f}\n",
                         r.name, r.networks, r.broken, shown_share(r.figure("recognised")), r.figure("frechet").value,
                         r.figure("precision").value, r.figure("recall").value, shown(r.figure("class_recall")),
                         shown(r.figure("dispersion")), shown_share(r.figure("memorised")),
                         shown_share(r.figure("memorised_images")), psnr.mean, psnr.std);
    }
    return out + verdicts_of(reports);
  }
  std::vector<std::filesystem::path> draw(const EvalWork &work, const std::vector<GroupReport> &reports,
                                          const std::filesystem::path &folder,
                                          const std::filesystem::path &) const override {
    return draw_fields(folder, work.shape, work.device, work.data, work.zoo, *work.samples, reports);
  }
};

} // namespace

std::unique_ptr<const Task> make_fields_task() { return std::make_unique<FieldsTask>(); }

} // namespace theta
