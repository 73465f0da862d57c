#include "eval_file.h"
#include "data/atomic_file.h"
#include "data/json.h"
#include <algorithm>
#include <cmath>
#include <fmt/core.h>

namespace theta {

Json json_of(const std::vector<GroupReport> &reports) {
  Json groups = Json::array();
  for (const auto &r : reports) {
    Json group{{"name", r.name},       {"role", r.role},       {"networks", r.networks},   {"broken", r.broken},
               {"verdict", r.verdict}, {"reasons", r.reasons}, {"values", Json::object()}, {"series", Json::object()}};
    for (const auto &[name, values] : r.values) {
      std::vector<float> finite = values;
      std::erase_if(finite, [](float x) { return !std::isfinite(x); });
      const Summary s = summarise(finite);
      const Estimate mean = bootstrapped_mean(finite);
      group[name] = {{"mean", number_in_json(s.mean)},
                     {"std", number_in_json(s.std)},
                     {"min", number_in_json(s.min)},
                     {"max", number_in_json(s.max)},
                     {"low", number_in_json(mean.low)},
                     {"high", number_in_json(mean.high)},
                     {"n", finite.size()}};
      group["values"][name] = list_in_json(values);
    }
    for (const auto &[name, e] : r.figures)
      group[name] = {{"value", number_in_json(e.value)},
                     {"low", number_in_json(e.low)},
                     {"high", number_in_json(e.high)},
                     {"n", e.n}};
    for (const auto &[name, s] : r.series)
      group["series"][name] = {{"x", list_in_json(s.x)},
                               {"y", list_in_json(s.y)},
                               {"low", list_in_json(s.low)},
                               {"high", list_in_json(s.high)}};
    groups.push_back(std::move(group));
  }
  return groups;
}

std::vector<GroupReport> groups_from(const Json &groups, const std::string &where) {
  std::vector<GroupReport> reports;
  for (const auto &g : groups) {
    GroupReport report{field<std::string>(g, "name", where), field<std::string>(g, "role", where),
                       field<std::size_t>(g, "networks", where), field<std::size_t>(g, "broken", where)};
    report.verdict = field<std::string>(g, "verdict", where);
    report.reasons = field<std::vector<std::string>>(g, "reasons", where);
    const Json values = field<Json>(g, "values", where), series = field<Json>(g, "series", where);
    for (const auto &[name, of_each] : values.items())
      report.values[name] = numbers_from<float>(of_each);
    for (const auto &[name, s] : series.items())
      report.series[name] = {
          numbers_from<double>(field<Json>(s, "x", where)), numbers_from<double>(field<Json>(s, "y", where)),
          numbers_from<double>(field<Json>(s, "low", where)), numbers_from<double>(field<Json>(s, "high", where))};
    for (const auto &[name, e] : g.items())
      if (e.is_object() && e.contains("value"))
        report.figures[name] = {number_from(e["value"]), number_from(field<Json>(e, "low", where)),
                                number_from(field<Json>(e, "high", where)), field<std::size_t>(e, "n", where)};
    reports.push_back(std::move(report));
  }
  return reports;
}

void write_eval(const std::filesystem::path &path, const std::vector<GroupReport> &reports, const std::string &key) {
  write_file(path, Json{{"groups", json_of(reports)}, {"key", key}}.dump(1) + "\n");
}

std::vector<GroupReport> read_eval(const std::filesystem::path &path) {
  return groups_from(field<Json>(json_file(path), "groups", path.string()), path.string());
}

std::string eval_key_of(const std::filesystem::path &path) {
  try {
    const Json eval = std::filesystem::exists(path) ? json_file(path) : Json();
    return eval.contains("groups") ? field<std::string>(eval, "key", path.string()) : "";
  } catch (const InputError &) {
    return ""; // it is made anew
  }
}

std::string verdicts_of(const std::vector<GroupReport> &reports) {
  std::string out;
  for (const auto &r : reports) {
    if (r.role != "generated")
      continue;
    out += fmt::format("\n{}: {}\n", r.name, r.verdict);
    for (const std::string &reason : r.reasons)
      out += fmt::format("  {}\n", reason);
  }
  return out;
}

} // namespace theta
