#include "groups.h"
#include "engine/report/pictures.h"
#include <algorithm>
#include <fmt/core.h>
#include <numeric>

namespace theta {

namespace {

std::vector<std::size_t> all_rows(const ZooReader &zoo) {
  std::vector<std::size_t> rows(zoo.rows());
  std::iota(rows.begin(), rows.end(), std::size_t(0));
  return rows;
}

} // namespace

void check_layout(const ZooReader &zoo, const NetworkShape &shape) {
  if (const std::size_t v = layout_of(shape).size(); zoo.parameters() != v)
    throw InputError("eval: ", zoo.path().string(), " holds networks of ", zoo.parameters(), " parameters, expected ",
                     v, ", as the configuration has");
}

void Groups::add_zoo(const std::string &name, const ZooReader &zoo, Taken taken) {
  check_layout(zoo, work_.shape);
  const std::size_t most = std::size_t(work_.eval.networks);
  auto rows = all_rows(zoo);
  if (taken == Taken::drawn)
    rows = choose(zoo, rows, most, work_.seed, 2).source;
  rows.resize(std::min(rows.size(), most));
  Group group{name, "generated", rows_of(zoo, rows)};
  group.networks.source.clear(); // rows of another zoo
  if (zoo.has_column(told_class)) {
    const auto told = zoo.floats(told_class);
    for (const std::size_t row : rows)
      group.labels.push_back(int(told[row]));
  }
  add(std::move(group));
}

void Groups::add_generated(Taken taken) {
  if (work_.samples)
    add_zoo("generated", *work_.samples, taken);
  for (const std::string &named : work_.eval.groups) {
    const auto equals = named.find('=');
    if (work_.samples && named.substr(0, equals) == "generated")
      throw InputError("eval.groups: found a group named generated, expected another name than the run's own samples'");
    others_.push_back(std::make_unique<ZooReader>(named.substr(equals + 1)));
    add_zoo(named.substr(0, equals), *others_.back(), taken);
  }
}

void Groups::add_baselines() {
  const EvalConfig &e = work_.eval;
  if (!e.baselines)
    return;
  const std::size_t most = std::size_t(e.networks);
  const auto baseline = [&](std::string name, NetworkSet set) { add({std::move(name), "baseline", std::move(set)}); };
  for (std::size_t i = 0; i < e.noise.size(); ++i)
    baseline(fmt::format("noise_{}", e.noise[i]),
             noisy_copies(work_.zoo, work_.training, most, e.noise[i], work_.seed, std::uint32_t(3 + i)));
  baseline(fmt::format("average_{}", e.average),
           averages(work_.zoo, work_.training, most, std::size_t(e.average), work_.seed));
  baseline("gaussian",
           gaussians(work_.zoo, work_.training, most, work_.seed,
                     work_.zoo.parameters() > large_network ? work_.scratch / ".gaussian" : std::filesystem::path()));
}

void judge_twin(const EvalWork &work, const DistanceOf &distance, GroupReport *generated) {
  const EvalConfig &e = work.eval;
  if (e.twin.empty())
    return;
  if (!generated)
    throw InputError("eval.twin: found ", e.twin, ", expected nothing where there are no samples of the run's own");
  const ZooReader twin(e.twin);
  check_layout(twin, work.shape);
  NetworkSet mine = rows_of(*work.samples, all_rows(*work.samples));
  mine.count = std::min(mine.count, std::size_t(e.networks));
  judge_agreement(distance, work.zoo.parameters(), mine, rows_of(twin, all_rows(twin)), *generated);
}

} // namespace theta
