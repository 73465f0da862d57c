#include "field_eval.h"
#include "data/atomic_file.h"
#include "data/json.h"
#include "field_groups.h"
#include <cmath>
#include <fmt/core.h>

namespace theta {

FieldJudge field_judge(const Config &c, const NetworkShape &shape, const DatasetSizes &sizes, int side,
                       Backend backend) {
  return FieldJudge(shape, sizes, side, c.eval.wave, c.seed, backend);
}

std::vector<FieldReport> judge_fields(const Config &c, const NetworkShape &shape, Device device, const Dataset &data,
                                      const ZooReader &zoo, const ZooReader &samples, Journal &journal) {
  const FieldGroups groups(c, zoo, samples);
  FieldJudge judge = field_judge(c, shape, sizes_of(data), data.side, device.backend);
  const auto signals = groups.training_signals(), control = groups.control_signals();
  judge.start(device, data, groups.references(), groups.training(), groups.control(), signals, control, journal);
  std::vector<FieldReport> reports;
  groups.each(journal,
              [&](const std::string &name, const FieldGroup &group) { reports.push_back(judge.judge(name, group)); });
  return reports;
}

void write_field_eval(const std::filesystem::path &path, const std::vector<FieldReport> &reports,
                      const std::string &key) {
  Json all = Json::array();
  for (const auto &r : reports) {
    Json psnr = Json::array();
    for (const float value : r.psnr)
      psnr.push_back(number_in_json(value));
    all.push_back({{"name", r.name},
                   {"networks", r.networks},
                   {"broken", r.broken},
                   {"recognised", json_of(r.recognised)},
                   {"frechet", r.frechet},
                   {"precision", r.covers.precision},
                   {"recall", r.covers.recall},
                   {"memorised", json_of(r.memorised)},
                   {"memorised_images", json_of(r.memorised_images)},
                   {"psnr", psnr},
                   {"image", r.image}});
  }
  write_file(path, Json{{"fields", all}, {"key", key}}.dump(1) + "\n");
}

std::vector<FieldReport> read_field_eval(const std::filesystem::path &path) {
  const std::string where = path.string();
  const Json all = json_file(path);
  std::vector<FieldReport> reports;
  for (const auto &r : field<Json>(all, "fields", where)) {
    FieldReport report{.name = field<std::string>(r, "name", where),
                       .networks = field<std::size_t>(r, "networks", where),
                       .broken = field<std::size_t>(r, "broken", where),
                       .recognised = share_from(r, "recognised", where),
                       .frechet = field<double>(r, "frechet", where),
                       .covers = {field<double>(r, "precision", where), field<double>(r, "recall", where)},
                       .memorised = share_from(r, "memorised", where),
                       .memorised_images = share_from(r, "memorised_images", where)};
    for (const auto &value : field<Json>(r, "psnr", where))
      report.psnr.push_back(value.is_number() ? value.get<float>() : std::numeric_limits<float>::infinity());
    report.image = field<std::vector<std::size_t>>(r, "image", where);
    reports.push_back(std::move(report));
  }
  return reports;
}

std::string table_of(const std::vector<FieldReport> &reports) {
  std::string out = fmt::format("{:<14} {:>5} {:>7}  {:>18}  {:>9}  {:>9}  {:>6}  {:>18}  {:>18}  {:>14}\n", "group",
                                "n", "broken", "recognised (95 %)", "Fréchet", "precision", "recall",
                                "memorised (95 %)", "of images (95 %)", "dB to nearest");
  for (const auto &r : reports) {
    if (r.psnr.empty()) {
      out += fmt::format("{:<14} {:>5} {:>7}  (none that works)\n", r.name, r.networks, r.broken);
      continue;
    }
    const Summary psnr = summarise(r.psnr);
    out +=
        fmt::format("{:<14} {:>5} {:>7}  {:>18}  {:>8.2f}  {:>9.2f}  {:>6.2f}  {:>18}  {:>18}  {:>6.1f} ± {:<5.1f}\n",
                    r.name, r.networks, r.broken, text_of(r.recognised), r.frechet, r.covers.precision, r.covers.recall,
                    text_of(r.memorised), text_of(r.memorised_images), psnr.mean, psnr.std);
  }
  return out;
}

} // namespace theta
