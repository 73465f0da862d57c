#include "conditions.h"
#include "kernels/parts/scratch.h"
#include <algorithm>
#include <cmath>
#include <limits>

namespace theta {

namespace {

Condition wanted(const std::string &column) {
  return {.name = column, .columns = {column}, .value = [](const float *w, const float *) { return w[0]; }};
}
Condition of_start(const std::string &column) {
  return {.name = "start." + column, .columns = {column}, .of_start = true, .value = [](const float *, const float *s) {
            return s[0];
          }};
}
Condition delta(const std::string &column) {
  return {.name = "delta." + column,
          .columns = {column},
          .of_start = true,
          .value = [](const float *w, const float *s) { return w[0] - s[0]; }};
}

// The first whose prefix a name has: "" comes last.
std::vector<std::pair<std::string, ConditionForm>> &forms() {
  static std::vector<std::pair<std::string, ConditionForm>> all{{"start.", of_start}, {"delta.", delta}, {"", wanted}};
  return all;
}

} // namespace

bool add_condition_form(std::string prefix, ConditionForm form) {
  forms().insert(forms().begin(), {std::move(prefix), std::move(form)});
  return true;
}

Condition condition_named(const std::string &name) {
  const auto colon = name.find(':');
  const std::string of = name.substr(0, colon);
  for (const auto &[prefix, form] : forms())
    if (of.starts_with(prefix) && of.size() > prefix.size()) {
      Condition condition = form(of.substr(prefix.size()));
      if (colon != std::string::npos) {
        const std::string classes = name.substr(colon + 1);
        if (classes.empty() || classes.size() > 6 || classes.find_first_not_of("0123456789") != std::string::npos ||
            std::stoi(classes) < 2)
          throw InputError("conditions: found '", name, "', expected a number of labels from 2 on behind :");
        condition.classes = std::stoi(classes);
      }
      condition.name = of;
      return condition;
    }
  throw InputError("conditions: found '", name, "', expected a column of the zoo such as validation_loss");
}

Conditions::Conditions(const std::vector<std::string> &names) {
  for (const std::string &name : names) {
    all_.push_back(condition_named(name));
    for (std::size_t k = 0; k + 1 < all_.size(); ++k)
      if (all_[k].name == all_.back().name)
        throw InputError("conditions: found '", name, "' twice");
    for (const std::string &column : all_.back().columns)
      if (std::find(columns_.begin(), columns_.end(), column) == columns_.end())
        columns_.push_back(column);
  }
}

bool Conditions::of_start() const {
  return std::any_of(all_.begin(), all_.end(), [](const Condition &c) { return c.of_start; });
}

std::vector<ConditionShape> Conditions::shapes() const {
  std::vector<ConditionShape> shapes;
  for (const Condition &c : all_)
    shapes.push_back({c.name, c.classes});
  return shapes;
}

template <class F> void Conditions::each_value(const Condition &c, const NetworkSource::Facts &facts, F use) const {
  const Scratch scratch;
  float *wanted = scratch.take<float>(c.columns.size()), *start = scratch.take<float>(c.columns.size());
  const std::size_t networks = facts.target.size() / columns_.size();
  for (std::size_t i = 0; i < networks; ++i) {
    for (std::size_t j = 0; j < c.columns.size(); ++j) {
      const auto k = std::size_t(std::find(columns_.begin(), columns_.end(), c.columns[j]) - columns_.begin());
      wanted[j] = facts.target[k * networks + i];
      if (!facts.start.empty())
        start[j] = facts.start[k * networks + i];
    }
    use(c.value(wanted, facts.start.empty() ? nullptr : start));
  }
}

void Conditions::tell(float *told, std::size_t step, const NetworkSource::Facts &facts, int repeat,
                      const std::vector<ConditionRange> &ranges) const {
  for (std::size_t k = 0; k < all_.size(); ++k) {
    float *to = told + k * step;
    each_value(all_[k], facts, [&](float value) {
      const float share = all_[k].classes > 0 ? value : (value - ranges[k].low) / (ranges[k].high - ranges[k].low);
      to = std::fill_n(to, repeat, share);
    });
  }
}

std::vector<ConditionRange> Conditions::measure(const std::vector<NetworkSource::Facts> &batches) const {
  std::vector<ConditionRange> ranges;
  for (const Condition &c : all_) {
    std::vector<float> seen;
    for (const auto &facts : batches)
      each_value(c, facts, [&](float value) {
        if (!std::isfinite(value))
          throw InputError("fit: condition ", c.name, ": found ", value, ", expected a finite number");
        if (c.classes > 0 && !(value >= 0 && value < float(c.classes) && value == std::floor(value)))
          throw InputError("fit: condition ", c.name, ": found ", value, ", expected a label from 0 to ",
                           c.classes - 1);
        seen.push_back(value);
      });
    std::sort(seen.begin(), seen.end());
    ConditionRange range{seen[seen.size() / 200], seen[seen.size() - 1 - seen.size() / 200]};
    if (!(range.high > range.low))
      range.high = range.low + 1; // all alike
    ranges.push_back(range);
  }
  return ranges;
}

void drop_conditions(float *told, std::size_t conditions, int rows, double drop, std::uint64_t seed,
                     std::uint32_t first_stream) {
  for (int r = 0; r < rows; ++r) {
    const auto drawn = [&](std::size_t i) {
      return uniform01(philox(seed, Purpose::condition_drop, first_stream + std::uint32_t(r), i).word[0]) < float(drop);
    };
    const bool all = drawn(0);
    for (std::size_t k = 0; k < conditions; ++k)
      if (all || drawn(k + 1))
        told[k * std::size_t(rows) + std::size_t(r)] = std::numeric_limits<float>::quiet_NaN();
  }
}

} // namespace theta
