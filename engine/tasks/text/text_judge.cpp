#include "text_judge.h"
#include "engine/analysis/nearest.h"
#include "engine/networks/gpt.h"
#include "engine/networks/kind.h"
#include "engine/networks/subset.h"
#include "engine/training/interrupt.h"
#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

namespace theta {

namespace {

double mixed(const float *bits, const float *shares, std::size_t classes) {
  double sum = 0;
  for (std::size_t c = 0; c < classes; ++c)
    sum += double(bits[c]) * double(shares[c]);
  return sum;
}

} // namespace

TextJudge::TextJudge(const NetworkShape &shape, const DatasetSizes &sizes, int wave, Backend backend)
    : shape_(shape), acting_([&] {
        NetworkShape whole = shape;
        return is_low_rank(shape) ? NetworkShape(whole_of(whole)) : shape;
      }()),
      evaluator_(shape, std::size_t(sizes.classes) * std::size_t(scored_windows), wave, backend,
                 trainer_for(backend, shape, 1)) {
  evaluator_.plan(plan_);
  staging_ = plan_.reserve<float>("eval.staging", MemoryClass::staging, {std::int64_t(evaluator_.parameters())});
  plan_.place();
}

void TextJudge::start(Device device, const Characters &part, const EvalWork &work, const TextRows &rows) {
  stream_ = std::make_unique<Stream>(device);
  arena_ = std::make_unique<Arena>(device, plan_);
  evaluator_.upload(*stream_, part);
  seen_ = acting(rows_of(work.zoo, rows.seen())), control_ = acting(rows_of(work.zoo, rows.control()));
  if (!is_subset(shape_))
    return;
  const auto none = row_of_trunk(on_trunk_of(shape_, work.zoo.path()));
  std::vector<char> broken;
  trunk_ = bits({1, [&](std::size_t, float *to) { std::copy(none.begin(), none.end(), to); }}, broken);
}

std::vector<float> TextJudge::bits(const NetworkSet &set, std::vector<char> &broken) {
  auto by_class = evaluator_.score_all(*stream_, set.count, set.network, staging_, &broken).by_class;
  for (float &each : by_class)
    each /= float(std::log(2.0));
  return by_class;
}

NetworkSet TextJudge::acting(const NetworkSet &set) const {
  if (!is_low_rank(shape_))
    return set;
  return {set.count,
          [set, shape = shape_, factors = evaluator_.parameters(), v = layout_of(acting_).size()](std::size_t i,
                                                                                                  float *to) {
            std::vector<float> theta(factors);
            set.network(i, theta.data());
            std::fill_n(to, v, 0.0f);
            add_changes(shape, theta.data(), to);
          },
          set.source};
}

// Of every class that several networks are told alone: the summed variance of their weights.
std::vector<float> TextJudge::variances(const NetworkSet &set, const Mixtures &mixtures) const {
  std::map<int, std::vector<std::size_t>> alike;
  for (std::size_t i = 0; i < set.count; ++i)
    if (const int c = mixtures.pure(i); c >= 0)
      alike[c].push_back(i);
  const NetworkSet acting_set = acting(set);
  const std::size_t v = layout_of(acting_).size();
  std::vector<float> all, theta(v);
  for (const auto &[c, which] : alike) {
    if (which.size() < 2)
      continue;
    std::vector<double> sum(v), squares(v);
    for (const std::size_t i : which) {
      acting_set.network(i, theta.data());
      for (std::size_t k = 0; k < v; ++k)
        sum[k] += double(theta[k]), squares[k] += double(theta[k]) * double(theta[k]);
    }
    double variance = 0;
    const double n = double(which.size());
    for (std::size_t k = 0; k < v; ++k)
      variance += (squares[k] - sum[k] * sum[k] / n) / (n - 1);
    all.push_back(float(variance));
  }
  return all;
}

GroupReport TextJudge::judge(const std::string &name, const NetworkSet &given, const Mixtures &of,
                             const GroupReport *asked) {
  GroupReport report{.name = name, .role = {}, .networks = given.count};
  std::vector<char> broken;
  auto by_class = bits(given, broken);
  const std::size_t classes = of.classes;
  NetworkSet set{0, {}};
  Mixtures mixtures{classes, {}};
  std::vector<std::size_t> sound;
  for (std::size_t i = 0; i < given.count; ++i)
    if (broken[i])
      ++report.broken;
    else
      sound.push_back(i), mixtures.shares.insert(mixtures.shares.end(), of.of(i), of.of(i) + classes);
  set = {sound.size(), [given, sound](std::size_t i, float *to) { given.network(sound[i], to); }};
  if (set.count == 0)
    return report;
  std::vector<float> first; // whether the class told alone gains most
  for (std::size_t k = 0; k < set.count; ++k) {
    const float *mine = by_class.data() + sound[k] * classes;
    const double own = mixed(mine, mixtures.of(k), classes);
    report.values["bits"].push_back(float(own));
    if (trunk_.empty())
      continue;
    report.values["gain"].push_back(float(mixed(trunk_.data(), mixtures.of(k), classes) - own));
    if (const int told = mixtures.pure(k); told >= 0) {
      std::size_t most = 0;
      for (std::size_t c = 1; c < classes; ++c)
        if (trunk_[c] - mine[c] > trunk_[most] - mine[most])
          most = c;
      first.push_back(float(int(most) == told));
    }
  }
  if (!first.empty())
    report.figures["told_first"] =
        estimate_of(share_of(std::accumulate(first.begin(), first.end(), 0.0), first.size()));
  // Over what networks trained on the same mixtures gain: of as many, in the same order, before broken ones went.
  const bool is_training = name == "training"; // which nobody asked for
  const GroupReport &truth = asked ? *asked : report;
  const auto &mine = report.of("gain"), &theirs = truth.of("gain");
  const auto beside = [&](std::size_t k) { return asked ? sound[k] : k; }; // of theirs
  for (const bool pure : {true, false}) {
    std::vector<std::size_t> which;
    for (std::size_t k = 0; k < mine.size(); ++k)
      if ((mixtures.pure(k) >= 0) == pure && beside(k) < theirs.size())
        which.push_back(k);
    if (which.empty() || is_training || (asked && truth.broken > 0))
      continue;
    report.figures[pure ? "gain_pure" : "gain_mixed"] =
        bootstrapped(which.size(), 500, [&](const std::vector<std::size_t> &drawn) {
          double a = 0, b = 0;
          for (const std::size_t i : drawn)
            a += double(mine[which[i]]), b += double(theirs[beside(which[i])]);
          return a / b;
        });
  }
  if (const auto variance = variances(set, mixtures); !variance.empty()) {
    report.figures["variance"] = bootstrapped_mean(variance);
    const Estimate of_truth = truth.figure("variance");
    report.figures["held_out_variance"] = of_truth;
    if (of_truth.n > 0)
      report.figures["spread"] = {.value = report.figure("variance").value / of_truth.value,
                                  .low = report.figure("variance").low / of_truth.value,
                                  .high = report.figure("variance").high / of_truth.value,
                                  .n = variance.size()};
  }
  if (!given.source.empty())
    for (const std::size_t i : sound)
      set.source.push_back(given.source[i]);
  const NetworkSet acting_set = acting(set);
  const NearestSearch search(layout_of(acting_).size());
  const auto to_seen = search.run(Device{}, acting_set, seen_);
  for (const Nearest &each : to_seen)
    report.values["nearest_l2"].push_back(each.distance);
  if (!is_training) // of which one side would give up each itself
    report.figures["memorised"] = estimate_of(share_nearer(to_seen, search.run(Device{}, acting_set, control_)));
  return report;
}

} // namespace theta
