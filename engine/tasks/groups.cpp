#include "groups.h"
#include "engine/networks/form.h"
#include "engine/report/pictures.h"
#include "engine/weights/symmetry.h"
#include <algorithm>
#include <cmath>
#include <fmt/core.h>
#include <numeric>

namespace theta {

namespace {

constexpr std::size_t most_regressed = 4096;

std::vector<std::size_t> all_rows(const ZooReader &zoo) {
  std::vector<std::size_t> rows(zoo.rows());
  std::iota(rows.begin(), rows.end(), std::size_t(0));
  return rows;
}

} // namespace

NetworkSet in_form(NetworkSet set, const NetworkShape &shape) {
  const auto into_form = std::make_shared<const IntoForm>(shape);
  // Which weights are the largest depends on how units are scaled.
  const bool balances = kept_weights(shape) > 0 && can_balance(shape);
  if (into_form->is_something() && set.source.empty())
    set.network = [=, network = std::move(set.network)](std::size_t i, float *theta) {
      network(i, theta);
      if (balances)
        balance(theta, shape);
      (*into_form)(theta);
    };
  return set;
}

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
  GroupNetworks group{rows_of(zoo, rows)};
  group.networks.source.clear(); // rows of another zoo
  if (zoo.has_column(told_class)) {
    const auto told = zoo.floats(told_class);
    for (const std::size_t row : rows)
      group.labels.push_back(int(told[row]));
  }
  add(name, "generated", std::move(group));
}

void Groups::add_asked(const std::string &of, const ZooReader &samples, const std::vector<std::size_t> &held_out) {
  Asked asked(work_.zoo, work_.training, samples);
  if (!asked.is_something())
    return;
  auto having = asked.having(held_out, std::size_t(work_.eval.networks), work_.eval.asked, work_.seed);
  if (!having.rows.empty()) {
    GroupNetworks group{rows_of(work_.zoo, having.rows)};
    const auto facts_of = [&](const char *column, auto &to) {
      if (work_.zoo.has_column(column))
        for (const auto facts = work_.zoo.integers(column); const std::size_t row : having.rows)
          to.push_back(std::remove_reference_t<decltype(to.front())>(facts[row]));
    };
    facts_of("class", group.labels), facts_of("signal", group.signals);
    const std::string name = of == "generated" ? "asked" : "asked_" + of;
    all_.back().beside = name;
    add(name, "asked", std::move(group));
  }
  std::string text = asked.text(work_.eval.asked);
  asked_.emplace(of, AskedFor{std::move(text), std::move(asked), std::move(having)});
}

void Groups::add_answers(const Meet &meet) {
  const auto found = asked_.find("generated");
  if (found == asked_.end())
    return;
  const Asked &asked = found->second.asked;
  const std::size_t most = std::size_t(work_.eval.networks);
  add("retrieval", "baseline", {asked.retrieved(most)});
  add("ridge", "baseline", {asked.regressed(most, work_.seed, most_regressed, meet)});
  for (std::size_t i = all_.size() - 2; i < all_.size(); ++i)
    if (!found->second.having.rows.empty())
      all_[i].beside = "asked";
}

void Groups::verdict(GroupReport &report, const std::vector<GroupReport> &all, Comparison how) const {
  const auto group = std::find_if(all_.begin(), all_.end(), [&](const Group &g) { return g.name == report.name; });
  const auto truth =
      std::find_if(all.begin(), all.end(), [&](const GroupReport &r) { return r.name == group->beside; });
  if (truth->role == "asked")
    how.truth = "those that have it";
  if (const auto found = asked_.find(report.name); found != asked_.end()) {
    const double n = double(found->second.having.in_all);
    report.figures["asked"] = {n, n, n, found->second.having.rows.size()};
    const Estimate mine = report.figure("variance"), theirs = report.figure("held_out_variance");
    if (truth->role == "asked" && found->second.asked.prompts() == 1 && theirs.value > 0) {
      const double ratio = mine.value / theirs.value;
      const double error = std::hypot(mine.high - mine.value, ratio * (theirs.high - theirs.value)) / theirs.value;
      report.figures["dispersion"] = {ratio, ratio - error, ratio + error, mine.n};
    }
    report.reasons.push_back(fmt::format("asked for {}, which {:.0f} of {} held-out networks have", found->second.text,
                                         n, work_.held_out.size()));
  }
  judge_group(report, *truth, how);
}

void Groups::add_generated(Taken taken, const std::vector<std::size_t> &held_out) {
  if (work_.samples) {
    add_zoo("generated", *work_.samples, taken);
    add_asked("generated", *work_.samples, held_out);
  }
  for (const std::string &named : work_.eval.groups) {
    const auto equals = named.find('=');
    if (work_.samples && named.substr(0, equals) == "generated")
      throw InputError("eval.groups: found a group named generated, expected another name than the run's own samples'");
    others_.push_back(std::make_unique<ZooReader>(named.substr(equals + 1)));
    add_zoo(named.substr(0, equals), *others_.back(), taken);
    add_asked(named.substr(0, equals), *others_.back(), held_out);
  }
}

void Groups::add_baselines() {
  const EvalConfig &e = work_.eval;
  if (!e.baselines)
    return;
  const std::size_t most = std::size_t(e.networks);
  const auto baseline = [&](std::string name, NetworkSet set) { add(std::move(name), "baseline", {std::move(set)}); };
  for (std::size_t i = 0; i < e.noise.size(); ++i)
    baseline(fmt::format("noise_{}", e.noise[i]),
             noisy_copies(work_.zoo, work_.training, most, e.noise[i], work_.seed, std::uint32_t(3 + i)));
  if (work_.rebuild) { // held-out networks, as the group of that name
    NetworkSet rebuilt = choose(work_.zoo, work_.held_out, most, work_.seed, 1);
    rebuilt.source.clear();
    rebuilt.network = [network = std::move(rebuilt.network), rebuild = work_.rebuild](std::size_t i, float *theta) {
      network(i, theta), rebuild(theta);
    };
    baseline("rebuilt", std::move(rebuilt));
  }
  baseline(fmt::format("average_{}", e.average),
           averages(work_.zoo, work_.training, most, std::size_t(e.average), work_.seed));
  baseline("gaussian",
           gaussians(work_.zoo, work_.training, most, work_.seed,
                     work_.zoo.parameters() > large_network ? work_.scratch / ".gaussian" : std::filesystem::path()));
}

void Groups::put_in_form() {
  for (Group &group : all_)
    group.networks = in_form(std::move(group.networks), work_.shape);
}

void Groups::add_recounted(const std::function<NetworkSet(NetworkSet)> &recount) {
  const auto is_made = [](const Group &group) {
    return group.role == "generated" || group.name.find("average_") != std::string::npos ||
           group.name.find("gaussian") != std::string::npos;
  };
  for (std::size_t i = 0, n = all_.size(); i < n; ++i)
    if (is_made(all_[i])) {
      Group again = all_[i];
      again.name = "recounted_" + again.name, again.networks = recount(std::move(again.networks));
      all_.push_back(std::move(again));
    }
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
