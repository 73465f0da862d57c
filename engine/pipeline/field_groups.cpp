#include "field_groups.h"
#include "data/json.h"
#include "engine/training/interrupt.h"
#include "source.h"
#include <algorithm>
#include <fmt/core.h>
#include <numeric>

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

FieldGroups::FieldGroups(const Config &c, const ZooReader &zoo, const ZooReader &samples)
    : config_(c), zoo_(zoo), samples_(samples), signal_(zoo.integers("signal")),
      label_(zoo.has_column("class") ? zoo.integers("class") : std::vector<std::int64_t>()) {
  const std::size_t group = std::size_t(c.eval.networks);
  const Split split = split_of(zoo, c.fit);
  all_training_ = split.training;
  // In a random order: groups first, then who they are compared with.
  const auto training = choose(zoo, split.training, split.training.size(), c.seed, 0).source,
             held_out = choose(zoo, split.held_out, split.held_out.size(), c.seed, 1).source;
  const std::size_t references = std::min(
      {std::size_t(c.eval.references), training.size(), held_out.size() - std::min(held_out.size(), 2 * group)});
  if (references < 2)
    throw InputError("eval: found ", training.size(), " training and ", held_out.size(),
                     " held-out fields, expected more than ", 2 * group,
                     " held-out ones: twice eval.networks, and others for control (zoo.held_out)");
  training_ = part_of(training, 0, std::max(references, group)), held_out_ = part_of(held_out, 0, group);
  references_ = part_of(held_out, group, group), control_ = part_of(held_out, 2 * group, references);
}

NetworkSet FieldGroups::references() const { return rows_of(zoo_, references_); }
NetworkSet FieldGroups::training() const { return rows_of(zoo_, part_of(training_, 0, control_.size())); }
NetworkSet FieldGroups::control() const { return rows_of(zoo_, control_); }
std::vector<std::size_t> FieldGroups::training_signals() const {
  return values_of<std::size_t>(signal_, part_of(training_, 0, control_.size()));
}
std::vector<std::size_t> FieldGroups::control_signals() const { return values_of<std::size_t>(signal_, control_); }
std::vector<int> FieldGroups::training_labels() const {
  return values_of<int>(label_, part_of(training_, 0, control_.size()));
}

FieldGroup FieldGroups::of_rows(const std::vector<std::size_t> &rows) const {
  return {rows_of(zoo_, rows), values_of<int>(label_, rows), values_of<std::size_t>(signal_, rows)};
}

void FieldGroups::each(Journal &journal,
                       const std::function<void(const std::string &, const FieldGroup &)> &take) const {
  const EvalConfig &e = config_.eval;
  const std::size_t group = std::size_t(e.networks);
  const bool has_covariance = zoo_.parameters() <= most_covariance;
  Progress progress(journal, "eval", "groups", double(5 + has_covariance + e.noise.size()));
  double done = 0;
  const auto add = [&](const std::string &name, const FieldGroup &of) {
    stop_if_interrupted("eval");
    take(name, of);
    progress.update(++done, name);
  };
  add("training", of_rows(part_of(training_, 0, group)));
  add("held_out", of_rows(held_out_));
  std::vector<std::size_t> made(std::min(samples_.rows(), group));
  std::iota(made.begin(), made.end(), std::size_t(0));
  FieldGroup generated{rows_of(samples_, made), {}, {}};
  generated.fields.source.clear(); // rows of another zoo
  if (samples_.has_column(told_class))
    for (const float value : samples_.floats(told_class))
      if (generated.labels.size() < made.size())
        generated.labels.push_back(int(value));
  add("generated", generated);
  const auto baseline = [&](const std::string &name, NetworkSet set) { add(name, {std::move(set), {}, {}}); };
  for (std::size_t i = 0; i < e.noise.size(); ++i)
    baseline(fmt::format("noise_{}", e.noise[i]),
             noisy_copies(zoo_, all_training_, group, e.noise[i], config_.seed, std::uint32_t(3 + i)));
  baseline(fmt::format("average_{}", e.average),
           averages(zoo_, all_training_, group, std::size_t(e.average), config_.seed));
  baseline("gaussian", gaussians(zoo_, all_training_, group, config_.seed));
  if (has_covariance)
    baseline("gaussian_full", full_gaussians(zoo_, all_training_, group, config_.seed));
}

Json json_of(const Share &s) { return {{"share", s.share}, {"low", s.low}, {"high", s.high}, {"n", s.n}}; }

Share share_from(const Json &of, const char *name, const std::string &where) {
  const Json s = field<Json>(of, name, where);
  return {field<double>(s, "share", where), field<double>(s, "low", where), field<double>(s, "high", where),
          field<std::size_t>(s, "n", where)};
}

std::string text_of(const Share &s) {
  return s.n == 0 ? "" : fmt::format("{:5.2f} ({:.2f}-{:.2f})", s.share, s.low, s.high);
}

} // namespace theta
