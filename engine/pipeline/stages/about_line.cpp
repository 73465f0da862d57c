#include "about_line.h"
#include "data/zoo_columns.h"
#include "engine/networks/form.h"
#include "engine/training/interrupt.h"
#include "engine/training/state_file.h"
#include <algorithm>
#include <cmath>

namespace theta {

namespace {

constexpr const char *line = "line", *mean = "mean";

// The conditions of rows, [rows, K]; ranks are those among the training rows.
std::vector<float> told_of(const ZooReader &zoo, const std::vector<std::string> &names,
                           const std::vector<std::size_t> &training) {
  const Conditions conditions(names);
  std::vector<std::vector<float>> columns;
  for (const std::string &column : conditions.columns())
    columns.push_back(told_numbers(zoo, column, training));
  std::vector<float> told;
  for (std::size_t row = 0; row < zoo.rows(); ++row)
    for (const Condition &c : conditions.all()) {
      std::vector<float> wanted;
      for (const std::string &column : c.columns)
        wanted.push_back(
            columns[std::size_t(std::find(conditions.columns().begin(), conditions.columns().end(), column) -
                                conditions.columns().begin())][row]);
      told.push_back(c.value(wanted.data(), nullptr));
    }
  return told;
}

} // namespace

AboutLine::AboutLine(const ZooReader &zoo, const std::vector<std::size_t> &training,
                     const std::vector<std::string> &conditions, const std::filesystem::path &rest) {
  if (conditions.empty())
    throw InputError("fit.about_line: found no conditions, expected some that a line depends on");
  const std::size_t k = conditions.size(), v = zoo.parameters();
  const auto told = told_of(zoo, conditions, training);
  std::vector<float> of_training;
  mean_.assign(k, 0);
  for (const std::size_t row : training)
    for (std::size_t j = 0; j < k; ++j) {
      of_training.push_back(told[row * k + j]);
      mean_[j] += told[row * k + j] / float(training.size());
    }
  ridge_.emplace(of_training, k, v, [&](std::size_t i, float *theta) { zoo.theta(training[i], theta); });
  ZooFormat format = zoo.format();
  format.dtype = Dtype::f32;
  store_plainly(format);
  const ZooColumns columns(zoo);
  ZooWriter writer(rest, format, std::max<std::size_t>(1, (std::size_t(1) << 30) / (v * sizeof(float))));
  std::vector<float> theta(v), on_line(v);
  for (std::size_t row = 0; row < zoo.rows(); ++row) {
    stop_if_interrupted("fit");
    zoo.theta(row, theta.data());
    ridge_->answer(told.data() + row * k, on_line.data());
    for (std::size_t i = 0; i < v; ++i)
      theta[i] -= on_line[i];
    writer.append(theta.data(), columns.of(row));
  }
  writer.finish();
}

void AboutLine::save(const std::filesystem::path &path, const std::string &key) const {
  save_state(path, {key, {}, {state_of(line, ridge_->numbers()), state_of(mean, mean_)}});
}

AboutLine::AboutLine(const std::filesystem::path &path, const std::string &key, std::size_t parameters) {
  const auto saved = load_state(path, key);
  if (!saved)
    throw InputError("sample: ", path.string(), ": found no line of this generator; `theta fit` makes both anew");
  mean_ = saved->tensor(mean);
  ridge_.emplace(mean_.size(), parameters, saved->tensor(line));
}

void AboutLine::answer(const float *told, float *theta) const {
  std::vector<float> known(told, told + mean_.size());
  for (std::size_t j = 0; j < known.size(); ++j)
    if (!std::isfinite(known[j]))
      known[j] = mean_[j];
  ridge_->answer(known.data(), theta);
}

} // namespace theta
