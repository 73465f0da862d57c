#include "shape_eval.h"
#include "data/atomic_file.h"
#include "data/json.h"
#include "data/solids.h"
#include "field_groups.h"
#include <fmt/core.h>

namespace theta {

namespace {

Json json_of(const SetAgreement &a) {
  return {{"mmd", a.mmd}, {"coverage", a.coverage}, {"one_nna", theta::json_of(a.one_nna)}};
}

SetAgreement agreement_from(const Json &of, const char *name, const std::string &where) {
  const Json a = field<Json>(of, name, where);
  return {field<double>(a, "mmd", where), field<double>(a, "coverage", where), share_from(a, "one_nna", where)};
}

} // namespace

ShapeJudge shape_judge(const Config &c, const NetworkShape &shape, const DatasetSizes &sizes) {
  return ShapeJudge(shape, sizes, even_points(sizes.pixels), c.eval.networks, c.eval.wave, c.seed);
}

std::vector<ShapeReport> judge_shapes(const Config &c, const NetworkShape &shape, Device device, const Dataset &data,
                                      const ZooReader &zoo, const ZooReader &samples, Journal &journal) {
  const FieldGroups groups(c, zoo, samples);
  ShapeJudge judge = shape_judge(c, shape, sizes_of(data));
  judge.start(device, data, groups.references(), groups.training(), groups.control(), groups.training_labels());
  std::vector<ShapeReport> reports;
  groups.each(journal,
              [&](const std::string &name, const FieldGroup &group) { reports.push_back(judge.judge(name, group)); });
  return reports;
}

void write_shape_eval(const std::filesystem::path &path, const std::vector<ShapeReport> &reports,
                      const std::string &key) {
  Json all = Json::array();
  for (const auto &r : reports)
    all.push_back({{"name", r.name},
                   {"networks", r.networks},
                   {"broken", r.broken},
                   {"iou", r.iou},
                   {"recognised", json_of(r.recognised)},
                   {"memorised", json_of(r.memorised)},
                   {"chamfer", json_of(r.chamfer)},
                   {"earth_mover", json_of(r.earth_mover)},
                   {"distance", r.distance},
                   {"nearest", r.nearest}});
  write_file(path, Json{{"shapes", all}, {"key", key}}.dump(1) + "\n");
}

std::vector<ShapeReport> read_shape_eval(const std::filesystem::path &path) {
  const std::string where = path.string();
  const Json all = json_file(path);
  std::vector<ShapeReport> reports;
  for (const auto &r : field<Json>(all, "shapes", where))
    reports.push_back({.name = field<std::string>(r, "name", where),
                       .networks = field<std::size_t>(r, "networks", where),
                       .broken = field<std::size_t>(r, "broken", where),
                       .iou = field<double>(r, "iou", where),
                       .recognised = share_from(r, "recognised", where),
                       .memorised = share_from(r, "memorised", where),
                       .chamfer = agreement_from(r, "chamfer", where),
                       .earth_mover = agreement_from(r, "earth_mover", where),
                       .distance = field<std::vector<double>>(r, "distance", where),
                       .nearest = field<std::vector<std::size_t>>(r, "nearest", where)});
  return reports;
}

std::string table_of(const std::vector<ShapeReport> &reports) {
  std::string out = fmt::format("{:<14} {:>5} {:>7} {:>6}  {:>18}  {:>18}  {:>8} {:>8} {:>18}  {:>8} {:>8} {:>18}\n",
                                "group", "n", "broken", "IoU", "recognised (95 %)", "memorised (95 %)", "MMD-CD",
                                "COV-CD", "1-NNA-CD (95 %)", "MMD-EMD", "COV-EMD", "1-NNA-EMD (95 %)");
  for (const auto &r : reports) {
    out += fmt::format("{:<14} {:>5} {:>7} ", r.name, r.networks, r.broken);
    if (r.distance.empty()) {
      out += " (none with a surface)\n";
      continue;
    }
    out += fmt::format("{:>6}  {:>18}  {:>18} ", r.iou > 0 ? fmt::format("{:.3f}", r.iou) : "", text_of(r.recognised),
                       text_of(r.memorised));
    for (const SetAgreement *a : {&r.chamfer, &r.earth_mover})
      out += fmt::format(" {:>8.4f} {:>8.2f} {:>18} ", a->mmd, a->coverage, text_of(a->one_nna));
    out += "\n";
  }
  return out;
}

} // namespace theta
