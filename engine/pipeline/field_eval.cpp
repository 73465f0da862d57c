#include "field_eval.h"
#include "data/atomic_file.h"
#include "data/json.h"
#include "data/mapped_file.h"
#include "engine/training/interrupt.h"
#include <algorithm>
#include <cmath>
#include <fmt/core.h>
#include <numeric>

namespace theta {

namespace {

constexpr const char *told_class = "told_class";

std::vector<std::size_t> part_of(const std::vector<std::size_t> &rows, std::size_t first, std::size_t count) {
  const std::size_t begin = std::min(first, rows.size()), end = std::min(first + count, rows.size());
  return {rows.begin() + std::ptrdiff_t(begin), rows.begin() + std::ptrdiff_t(end)};
}

template <class T>
std::vector<T> of_rows(const std::vector<std::int64_t> &column, const std::vector<std::size_t> &rows) {
  std::vector<T> values;
  for (const std::size_t row : rows)
    values.push_back(T(column[row]));
  return values;
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

} // namespace

FieldJudge field_judge(const Config &c, const NetworkShape &shape, const DatasetSizes &sizes, int side,
                       Backend backend) {
  return FieldJudge(shape, sizes, side, c.eval.wave, c.seed, backend);
}

std::vector<FieldReport> judge_fields(const Config &c, const NetworkShape &shape, Device device, const Dataset &data,
                                      const ZooReader &zoo, const ZooReader &samples, Journal &journal) {
  const EvalConfig &e = c.eval;
  const std::size_t group = std::size_t(e.networks);
  const Split split = split_of(zoo);
  // In a random order: groups first, then who they are compared with.
  const auto training = choose(zoo, split.training, split.training.size(), c.seed, 0).source,
             held_out = choose(zoo, split.held_out, split.held_out.size(), c.seed, 1).source;
  const std::size_t references =
      std::min({std::size_t(e.references), training.size(), held_out.size() - std::min(held_out.size(), 2 * group)});
  if (references < 2)
    throw InputError("eval: found ", training.size(), " training and ", held_out.size(),
                     " held-out fields, expected more than ", 2 * group,
                     " held-out ones: twice eval.networks, and "
                     "others for control (zoo.held_out)");
  const auto control = part_of(held_out, 2 * group, references), seen = part_of(training, 0, references);
  const auto signal = zoo.integers("signal"), label = zoo.integers("class");
  FieldJudge judge = field_judge(c, shape, sizes_of(data), data.side, device.backend);
  judge.start(device, data, rows_of(zoo, part_of(held_out, group, group)), rows_of(zoo, seen), rows_of(zoo, control),
              of_rows<std::size_t>(signal, seen), of_rows<std::size_t>(signal, control), journal);

  std::vector<FieldReport> reports;
  const bool has_covariance = zoo.parameters() <= most_covariance;
  Progress progress(journal, "eval", "groups", double(5 + has_covariance + e.noise.size()));
  const auto add = [&](const std::string &name, const FieldGroup &of) {
    if (interrupted())
      throw Interrupted("eval: stopped; the same command starts it again");
    reports.push_back(judge.judge(name, of));
    progress.update(double(reports.size()), name);
  };
  const auto rows = [&](const std::vector<std::size_t> &of) {
    return FieldGroup{rows_of(zoo, of), of_rows<int>(label, of), of_rows<std::size_t>(signal, of)};
  };
  add("training", rows(part_of(training, 0, group)));
  add("held_out", rows(part_of(held_out, 0, group)));
  std::vector<std::size_t> made(std::min(samples.rows(), group));
  std::iota(made.begin(), made.end(), std::size_t(0));
  FieldGroup generated{rows_of(samples, made), {}, {}};
  generated.fields.source.clear(); // rows of another zoo
  if (samples.has_column(told_class))
    for (const float value : samples.floats(told_class))
      if (generated.labels.size() < made.size())
        generated.labels.push_back(int(value));
  add("generated", generated);
  for (std::size_t i = 0; i < e.noise.size(); ++i)
    add(fmt::format("noise_{}", e.noise[i]),
        {noisy_copies(zoo, split.training, group, e.noise[i], c.seed, std::uint32_t(3 + i)), {}, {}});
  add(fmt::format("average_{}", e.average),
      {averages(zoo, split.training, group, std::size_t(e.average), c.seed), {}, {}});
  add("gaussian", {gaussians(zoo, split.training, group, c.seed), {}, {}});
  if (has_covariance)
    add("gaussian_full", {full_gaussians(zoo, split.training, group, c.seed), {}, {}});
  return reports;
}

void write_field_eval(const std::filesystem::path &path, const std::vector<FieldReport> &reports,
                      const std::string &key) {
  Json all = Json::array();
  for (const auto &r : reports) {
    Json psnr = Json::array();
    for (const float value : r.psnr)
      psnr.push_back(std::isfinite(value) ? Json(value) : Json(nullptr));
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
  const MappedFile file(path);
  const Json all = parse_json({reinterpret_cast<const char *>(file.bytes().data()), file.bytes().size()}, where);
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
