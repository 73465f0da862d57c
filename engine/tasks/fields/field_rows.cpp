#include "field_rows.h"
#include "engine/analysis/verdict.h"
#include "engine/tasks/metric.h"
#include "engine/training/interrupt.h"
#include <algorithm>
#include <cmath>
#include <fmt/core.h>

namespace theta {

namespace {

std::vector<std::size_t> part_of(const std::vector<std::size_t> &rows, std::size_t first, std::size_t count) {
  const std::size_t begin = std::min(first, rows.size()), end = std::min(first + count, rows.size());
  return {rows.begin() + std::ptrdiff_t(begin), rows.begin() + std::ptrdiff_t(end)};
}

template <class T>
std::vector<T> values_of(const std::vector<std::int64_t> &column, const std::vector<std::size_t> &rows) {
  std::vector<T> values;
  if (!column.empty())
    for (const std::size_t row : rows)
      values.push_back(T(column[row]));
  return values;
}

} // namespace

FieldRows::FieldRows(const EvalWork &work)
    : work_(work), signal_(work.zoo.integers("signal")),
      label_(work.zoo.has_column("class") ? work.zoo.integers("class") : std::vector<std::int64_t>()) {
  const std::size_t group = std::size_t(work.eval.networks);
  const auto training = choose(work.zoo, work.training, work.training.size(), work.seed, 0).source,
             held_out = choose(work.zoo, work.held_out, work.held_out.size(), work.seed, 1).source;
  const std::size_t references = std::min(
      {std::size_t(work.eval.references), training.size(), held_out.size() - std::min(held_out.size(), 2 * group)});
  if (references < 2)
    throw InputError("eval: found ", training.size(), " training and ", held_out.size(),
                     " held-out fields, expected more than ", 2 * group,
                     " held-out ones: twice eval.networks, and others for control (zoo.held_out)");
  training_ = part_of(training, 0, group), held_out_ = part_of(held_out, 0, group);
  references_ = part_of(held_out, group, group), control_ = part_of(held_out, 2 * group, references);
  seen_ = part_of(training, 0, control_.size());
  askable_ = held_out_;
  const auto others = held_out.begin() + std::ptrdiff_t(std::min(held_out.size(), 2 * group + references));
  askable_.insert(askable_.end(), others, held_out.end());
}

GroupNetworks FieldRows::of_rows(const std::vector<std::size_t> &rows) const {
  return {rows_of(work_.zoo, rows), values_of<int>(label_, rows), values_of<std::size_t>(signal_, rows)};
}

std::vector<GroupReport> FieldRows::judged(Journal &journal, const char *of_each, const Judge &judge) const {
  Groups groups(work_);
  groups.add("training", "training", of_rows(training_)), groups.add("held_out", "held_out", of_rows(held_out_));
  groups.add_generated(Groups::Taken::first, askable_);
  groups.add_baselines();
  if (work_.eval.baselines && work_.zoo.parameters() <= most_covariance)
    groups.add("gaussian_full", "baseline",
               {full_gaussians(rows_of(work_.zoo, work_.training), work_.zoo.parameters(),
                               std::size_t(work_.eval.networks), work_.seed)});
  groups.put_in_form();
  Progress progress(journal, "eval", "groups", double(groups.all().size()));
  std::vector<GroupReport> reports;
  for (const Group &group : groups.all()) {
    stop_if_interrupted("eval");
    reports.push_back(judge(group.name, group));
    reports.back().role = group.role;
    measure(work_, group.networks, reports.back());
    progress.update(double(reports.size()), group.name);
  }
  const auto plain = [](const std::vector<float> &a, const std::vector<float> &b) {
    double sum = 0;
    for (std::size_t i = 0; i < a.size(); ++i)
      sum += (double(a[i]) - double(b[i])) * (double(a[i]) - double(b[i]));
    return float(std::sqrt(sum));
  };
  judge_twin(work_, plain, work_.samples ? &reports[2] : nullptr);
  const auto as_they_are = reports;
  for (GroupReport &report : reports)
    if (report.role == "generated" || report.role == "baseline")
      groups.verdict(report, as_they_are,
                     {.references = control_.size(), .training = work_.training.size(), .of_each = of_each});
  return reports;
}

std::string shown_share(const Estimate &s) {
  return s.n == 0 ? "" : fmt::format("{:5.2f} ({:.2f}-{:.2f})", s.value, s.low, s.high);
}

} // namespace theta
