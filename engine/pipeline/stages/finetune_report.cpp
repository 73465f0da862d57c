#include "finetune_report.h"
#include "data/atomic_file.h"
#include "data/json.h"
#include "engine/analysis/statistics.h"
#include <fmt/core.h>
#include <map>

namespace theta {

namespace {

Json json_of(const FinetuneCurve &curve) { return {{"step", curve.step}, {"mean", curve.mean}, {"std", curve.std}}; }

FinetuneCurve curve_from(const Json &from, const std::string &where) {
  return {field<std::vector<long>>(from, "step", where), field<std::vector<double>>(from, "mean", where),
          field<std::vector<double>>(from, "std", where)};
}

} // namespace

void FinetuneConfig::describe(Keys &keys) {
  keys({"networks", "generated networks that are trained on; 0: none"}, networks, not_negative);
  keys({"every", "steps between looks"}, every, positive);
  keys({"lr", "learning rate of generated networks, in that of the zoo's recipe"}, lr, Limits{1e-6, 1e3});
  keys({"less", "below held-out networks' accuracy: what is to be reached"}, less, Limits{0, 1});
}

std::optional<long> FinetuneCurve::reaches(double accuracy) const {
  for (std::size_t i = 0; i < step.size(); ++i)
    if (mean[i] >= accuracy)
      return step[i];
  return {};
}

std::optional<double> FinetuneReport::saved() const {
  const auto from_generated = generated.reaches(target), from_scratch = scratch.reaches(target);
  if (!from_generated || !from_scratch || *from_scratch == 0)
    return {};
  return 1 - double(*from_generated) / double(*from_scratch);
}

ZooTask finetune_task(const Config &c, bool from_generated) {
  const auto &f = c.of<FinetuneConfig>();
  ZooTask task = task_of(c);
  ZooRecipe &r = task.recipe;
  r.networks = f.networks, r.checkpoints = CheckpointKind::every, r.held_out = 0;
  r.wave = std::min(r.wave, r.networks), r.count = std::min<long>(f.every, r.steps);
  if (!from_generated)
    return task;
  const auto slower = [&](double &rate) { rate *= f.lr; };
  for (double &value : r.lr.values)
    slower(value);
  if (r.lr.range)
    slower(r.lr.range->from), slower(r.lr.range->to);
  r.start = StartKind::own;
  return task;
}

FinetuneCurve curve_of(const ZooReader &zoo, const std::vector<float> &at_once) {
  std::map<long, std::vector<float>> accuracies;
  if (!at_once.empty())
    accuracies[0] = at_once;
  const auto step = zoo.integers("step");
  const auto accuracy = zoo.floats("test_accuracy");
  for (std::size_t row = 0; row < zoo.rows(); ++row)
    accuracies[long(step[row])].push_back(accuracy[row]);
  FinetuneCurve curve;
  for (const auto &[at, values] : accuracies) {
    const Summary of = summarise(values);
    curve.step.push_back(at), curve.mean.push_back(of.mean), curve.std.push_back(of.std);
  }
  return curve;
}

void write_finetune(const std::filesystem::path &path, const FinetuneReport &report, const std::string &key) {
  const auto steps = [](const std::optional<long> &of) { return of ? Json(*of) : Json(); };
  const auto saved = report.saved();
  write_file(path, Json{{"held_out", report.held_out},
                        {"target", report.target},
                        {"generated", json_of(report.generated)},
                        {"scratch", json_of(report.scratch)},
                        {"steps_of_generated", steps(report.generated.reaches(report.target))},
                        {"steps_from_scratch", steps(report.scratch.reaches(report.target))},
                        {"saved", saved ? Json(*saved) : Json()},
                        {"key", key}}
                           .dump(1) +
                       "\n");
}

std::string finetune_key_of(const std::filesystem::path &path) {
  try {
    return json_file(path).value("key", "");
  } catch (const InputError &) {
    return "";
  }
}

FinetuneReport read_finetune(const std::filesystem::path &path) {
  const std::string where = path.string();
  const Json from = json_file(path);
  return {field<double>(from, "held_out", where), field<double>(from, "target", where),
          curve_from(field<Json>(from, "generated", where), where),
          curve_from(field<Json>(from, "scratch", where), where)};
}

std::string text_of(const FinetuneReport &report) {
  const auto steps = [](const std::optional<long> &of) { return of ? text("after ", *of, " steps") : "never"; };
  const auto saved = report.saved();
  return fmt::format("{:.2f} % at once; {:.2f} % {} from generated networks, {} from scratch{}",
                     report.generated.mean.empty() ? 0 : 100 * report.generated.mean.front(), 100 * report.target,
                     steps(report.generated.reaches(report.target)), steps(report.scratch.reaches(report.target)),
                     saved ? fmt::format(": {:.0f} % of the steps saved", 100 * *saved) : "");
}

} // namespace theta
