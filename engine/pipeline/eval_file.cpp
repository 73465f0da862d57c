#include "eval_file.h"
#include "data/atomic_file.h"
#include "data/json.h"
#include "data/mapped_file.h"
#include <algorithm>
#include <cmath>
#include <fmt/core.h>

namespace theta {

namespace {

// A number, or null where it is not finite: JSON has no other word for that.
Json number(double x) { return std::isfinite(x) ? Json(x) : Json(nullptr); }

Json summary(const std::vector<float> &values, bool largest_is_best) {
  const Summary s = summarise(values);
  return {{"mean", number(s.mean)}, {"std", number(s.std)}, {"best", number(largest_is_best ? s.max : s.min)}};
}

Json list(const std::vector<float> &values) {
  Json all = Json::array();
  for (const float v : values)
    all.push_back(number(v));
  return all;
}

std::vector<float> floats(const Json &list) {
  std::vector<float> all;
  for (const auto &v : list)
    all.push_back(v.is_number() ? v.get<float>() : std::numeric_limits<float>::quiet_NaN());
  return all;
}

Json read_file(const std::filesystem::path &path) {
  const MappedFile file(path);
  return parse_json({reinterpret_cast<const char *>(file.bytes().data()), file.bytes().size()}, path.string());
}

} // namespace

void write_eval(const std::filesystem::path &path, const std::vector<GroupReport> &reports, const std::string &key) {
  Json groups = Json::array();
  for (const auto &r : reports)
    groups.push_back(
        {{"name", r.name},
         {"networks", r.networks},
         {"broken", r.broken},
         {"accuracy", summary(r.accuracy, true)},
         {"loss", summary(r.loss, false)},
         {"max_iou", summary(r.max_iou, false)},
         {"nearest_l2", summary(r.nearest_l2, true)},
         {"memorised",
          {{"share", r.memorised.share}, {"low", r.memorised.low}, {"high", r.memorised.high}, {"n", r.memorised.n}}},
         {"z_u", number(r.z_u)},
         {"values",
          {{"accuracy", list(r.accuracy)},
           {"loss", list(r.loss)},
           {"max_iou", list(r.max_iou)},
           {"nearest_l2", list(r.nearest_l2)}}}});
  write_file(path, Json{{"groups", groups}, {"key", key}}.dump(1) + "\n");
}

std::vector<GroupReport> read_eval(const std::filesystem::path &path) {
  const std::string where = path.string();
  std::vector<GroupReport> reports;
  for (const auto &g : field<Json>(read_file(path), "groups", where)) {
    const Json values = field<Json>(g, "values", where), memorised = field<Json>(g, "memorised", where);
    const auto column = [&](const char *name) { return floats(field<Json>(values, name, where)); };
    reports.push_back({field<std::string>(g, "name", where),
                       field<std::size_t>(g, "networks", where),
                       g.value("broken", std::size_t(0)), // files of before say nothing of it
                       column("accuracy"),
                       column("loss"),
                       column("max_iou"),
                       column("nearest_l2"),
                       {field<double>(memorised, "share", where), field<double>(memorised, "low", where),
                        field<double>(memorised, "high", where), field<std::size_t>(memorised, "n", where)},
                       field<double>(g, "z_u", where)});
  }
  return reports;
}

std::string eval_key_of(const std::filesystem::path &path) {
  if (!std::filesystem::exists(path))
    return "";
  return field<std::string>(read_file(path), "key", path.string());
}

std::string table_of(const std::vector<GroupReport> &reports) {
  const bool broken = std::any_of(reports.begin(), reports.end(), [](const auto &r) { return r.broken > 0; });
  const auto column = [&](const std::string &text) { return broken ? fmt::format("  {:>6}", text) : ""; };
  std::string out = fmt::format("{:<14} {:>5}{}  {:>15}  {:>7}  {:>8}  {:>15}  {:>17}  {:>20}  {:>7}\n", "group", "n",
                                column("broken"), "accuracy %", "best %", "loss", "max IoU", "L2 to nearest",
                                "memorised (95 %)", "Z_U");
  for (const auto &r : reports) {
    const Summary accuracy = summarise(r.accuracy), loss = summarise(r.loss), iou = summarise(r.max_iou),
                  l2 = summarise(r.nearest_l2);
    if (r.accuracy.empty()) {
      out += fmt::format("{:<14} {:>5}{}  (none that works)\n", r.name, r.networks, column(std::to_string(r.broken)));
      continue;
    }
    out += fmt::format("{:<14} {:>5}{}  {:>7.2f} ± {:<5.2f}  {:>7.2f}  {:>8.4f}  {:>7.3f} ± {:<5.3f}  {:>9.4g} ± "
                       "{:<5.3g}  {:>5.2f} ({:.2f}-{:.2f})   {:>7.2f}\n",
                       r.name, r.networks, column(std::to_string(r.broken)), 100 * accuracy.mean, 100 * accuracy.std,
                       100 * accuracy.max, loss.mean, iou.mean, iou.std, l2.mean, l2.std, r.memorised.share,
                       r.memorised.low, r.memorised.high, r.z_u);
  }
  return out;
}

} // namespace theta
