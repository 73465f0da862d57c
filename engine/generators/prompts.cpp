#include "prompts.h"
#include "engine/settings/nearest.h"
#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

namespace theta {

namespace {

constexpr float nothing = std::numeric_limits<float>::quiet_NaN();

double number_in(const std::string &text, const std::string &whole) {
  std::size_t used = 0;
  double value = 0;
  try {
    value = std::stod(text, &used);
  } catch (const std::exception &) {
  }
  if (text.empty() || used != text.size() || !std::isfinite(value))
    throw InputError("sample.prompt: found '", whole, "', expected NAME=VALUE or NAME=FROM..TO");
  return value;
}

// Conditions and the columns that they read, nearest first.
std::string known_prompts(const Conditions &conditions, const std::string &wanted) {
  std::vector<std::string> names = conditions.columns();
  for (const Condition &c : conditions.all())
    if (std::find(names.begin(), names.end(), c.name) == names.end())
      names.push_back(c.name);
  if (names.empty())
    return "none: the generator has no conditions";
  std::string all;
  for (const std::string &name : nearest_first(names, wanted))
    all += (all.empty() ? "" : ", ") + name;
  return "one of the generator's: " + all;
}

} // namespace

Prompt prompt_of(const std::string &text) {
  const auto equals = text.find('=');
  const std::string name = text.substr(0, equals);
  if (equals == std::string::npos || name.empty())
    throw InputError("sample.prompt: found '", text, "', expected NAME=VALUE or NAME=FROM..TO");
  const std::string value = text.substr(equals + 1);
  const auto dots = value.find("..");
  if (dots == std::string::npos)
    return {name, number_in(value, text), number_in(value, text)};
  return {name, number_in(value.substr(0, dots), text), number_in(value.substr(dots + 2), text)};
}

Starts starts_of(const ZooReader &zoo, const std::vector<std::size_t> &held_out) {
  const auto run = zoo.integers("run"), step = zoo.integers("step");
  std::map<std::int64_t, std::pair<std::size_t, std::size_t>> of_run; // first and last row
  for (const std::size_t row : held_out) {
    auto &[first, last] = of_run.try_emplace(run[row], row, row).first->second;
    first = step[row] < step[first] ? row : first, last = step[row] > step[last] ? row : last;
  }
  Starts starts;
  for (const auto &[of, rows] : of_run)
    starts.rows.push_back(rows.first), starts.ends.push_back(rows.second);
  return starts;
}

float PromptTable::value(std::size_t prompt, std::size_t sample) const {
  const Prompt &p = prompts[prompt];
  if (!p.of_samples.empty())
    return p.of_samples[sample];
  const double share = points > 1 ? double(sample % std::size_t(points)) / (points - 1) : 0;
  return float(p.from + (p.to - p.from) * share);
}

PromptTable prompt_table(const std::vector<std::string> &texts, int points, const Conditions &conditions, bool start,
                         const ZooReader &zoo, const std::vector<std::size_t> &held_out, std::size_t samples) {
  PromptTable table;
  table.points = points;
  for (const std::string &text : texts) {
    if (text == as_held_out) {
      if (held_out.empty())
        throw InputError("sample.prompt: found ", as_held_out, ", and no held-out network in ", zoo.path().string());
      for (const std::string &column : conditions.columns()) {
        const auto known = told_numbers(zoo, column, held_out);
        table.prompts.push_back({column, 0, 0});
        for (std::size_t i = 0; i < samples; ++i)
          table.prompts.back().of_samples.push_back(known[held_out[i % held_out.size()]]);
      }
      continue;
    }
    table.prompts.push_back(prompt_of(text));
    const std::string &name = table.prompts.back().name;
    const auto &columns = conditions.columns();
    if (std::find(columns.begin(), columns.end(), name) == columns.end() &&
        std::none_of(conditions.all().begin(), conditions.all().end(), [&](const auto &c) { return c.name == name; }))
      throw InputError("sample.prompt: found '", name, "', expected ", known_prompts(conditions, name));
  }
  if (start) {
    const Starts starts = starts_of(zoo, held_out);
    if (starts.rows.empty())
      throw InputError("sample: ", zoo.path().string(), ": found no held-out run, expected one to start from");
    table.told.start.resize(samples * zoo.parameters());
    for (std::size_t i = 0; i < samples; ++i) {
      const std::size_t of = i / std::size_t(points) % starts.rows.size();
      table.start_rows.push_back(starts.rows[of]), table.end_rows.push_back(starts.ends[of]);
      zoo.theta(table.start_rows.back(), table.told.start.data() + i * zoo.parameters());
    }
  }
  const auto prompted = [&](const std::string &name, std::size_t sample) {
    for (std::size_t k = 0; k < table.prompts.size(); ++k)
      if (table.prompts[k].name == name)
        return table.value(k, sample);
    return nothing;
  };
  std::map<std::string, std::vector<float>> known; // of the starts
  if (start)
    for (const std::string &column : conditions.columns())
      known[column] = told_numbers(zoo, column, held_out);
  for (std::size_t i = 0; i < samples; ++i)
    for (const Condition &c : conditions.all()) {
      std::vector<float> wanted, started;
      for (const std::string &column : c.columns) {
        wanted.push_back(prompted(column, i));
        started.push_back(start ? known[column][table.start_rows[i]] : nothing);
      }
      const float value = prompted(c.name, i);
      table.told.told.push_back(std::isnan(value) ? c.value(wanted.data(), started.data()) : value);
    }
  return table;
}

} // namespace theta
