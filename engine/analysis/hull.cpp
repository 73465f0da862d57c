#include "hull.h"
#include "engine/weights/dense.h"
#include "kernels/device/parallel.h"
#include <algorithm>
#include <cmath>
#include <numeric>

namespace theta {

namespace {

// Weights, of sum 1, of the point of the points' affine hull that is nearest to the origin; of points `of` among k.
std::vector<double> affine_weights(const std::vector<double> &gram, std::size_t k, const std::vector<std::size_t> &of) {
  const std::size_t n = of.size();
  std::vector<double> a((n + 1) * (n + 1), 0), b(n + 1, 0); // the Lagrangian's: [G 1; 1ᵀ 0]
  double scale = 0;
  for (std::size_t i = 0; i < k; ++i)
    scale = std::max(scale, gram[i * k + i]);
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = 0; j < n; ++j)
      a[i * (n + 1) + j] = gram[of[i] * k + of[j]] / scale;
    a[i * (n + 1) + n] = a[n * (n + 1) + i] = 1;
  }
  b[n] = 1;
  auto weight = least_squares(a, b);
  weight.pop_back();
  return weight;
}

} // namespace

double distance_to_hull(const std::vector<double> &gram, std::size_t k) {
  std::size_t nearest = 0;
  double scale = 0;
  for (std::size_t i = 0; i < k; ++i) {
    scale = std::max(scale, gram[i * k + i]);
    if (gram[i * k + i] < gram[nearest * k + nearest])
      nearest = i;
  }
  if (!(gram[nearest * k + nearest] > 0))
    return 0;
  std::vector<std::size_t> corral{nearest}; // the points of which the best so far is a combination
  std::vector<double> weight{1};
  double distance = gram[nearest * k + nearest];
  for (std::size_t round = 0; round < 20 * k; ++round) {
    std::vector<double> along(k, 0); // products of the best with every point
    for (std::size_t i = 0; i < corral.size(); ++i)
      for (std::size_t j = 0; j < k; ++j)
        along[j] += weight[i] * gram[corral[i] * k + j];
    double now = 0;
    for (std::size_t i = 0; i < corral.size(); ++i)
      now += weight[i] * along[corral[i]];
    distance = std::max(0.0, now);
    const std::size_t next = std::size_t(std::min_element(along.begin(), along.end()) - along.begin());
    if (along[next] >= now - 1e-12 * scale || std::find(corral.begin(), corral.end(), next) != corral.end())
      break;
    corral.push_back(next), weight.push_back(0);
    for (;;) {
      const auto wanted = affine_weights(gram, k, corral);
      if (*std::min_element(wanted.begin(), wanted.end()) > 1e-12) {
        weight = wanted;
        break;
      }
      double step = 1; // towards them, until the first weight is gone
      for (std::size_t i = 0; i < wanted.size(); ++i)
        if (wanted[i] <= 1e-12 && weight[i] - wanted[i] > 0)
          step = std::min(step, weight[i] / (weight[i] - wanted[i]));
      for (std::size_t i = 0; i < wanted.size(); ++i)
        weight[i] += step * (wanted[i] - weight[i]);
      std::vector<std::size_t> kept;
      std::vector<double> rest;
      for (std::size_t i = 0; i < weight.size(); ++i)
        if (weight[i] > 1e-12)
          rest.push_back(weight[i]), kept.push_back(corral[i]);
      const double all = std::accumulate(rest.begin(), rest.end(), 0.0);
      for (double &w : rest)
        w /= all;
      const bool shrinks = kept.size() < corral.size();
      corral = std::move(kept), weight = std::move(rest);
      if (!shrinks)
        break;
    }
  }
  return std::sqrt(distance);
}

double distance_to_span(const std::vector<double> &gram, std::size_t k) {
  std::vector<std::size_t> all(k);
  std::iota(all.begin(), all.end(), std::size_t(0));
  const auto weight = affine_weights(gram, k, all);
  double squared = 0;
  for (std::size_t i = 0; i < k; ++i)
    for (std::size_t j = 0; j < k; ++j)
      squared += weight[i] * gram[i * k + j] * weight[j];
  return std::sqrt(std::max(0.0, squared));
}

HullJudge::HullJudge(std::size_t parameters, std::size_t networks, std::size_t closest)
    : parameters_(parameters), networks_(networks),
      closest_(std::max<std::size_t>(2, std::min(closest, parameters / 4))) {}

// [K, V]: the nearest training networks less the network.
std::vector<double> HullJudge::differences(const NoveltyJudge &judge, const float *network,
                                           const std::vector<Nearest> &nearest, Units units,
                                           const std::vector<float> &reference) const {
  const std::size_t v = parameters_;
  std::vector<float> x(network, network + v), other(v), target = units == Units::at_reference ? reference : x;
  const bool aligns = judge.assigned() && units != Units::as_they_lie;
  if (aligns)
    judge.assigned()->align(x.data(), target.data());
  std::vector<double> all;
  for (const Nearest &each : nearest) {
    judge.training().network(each.index, other.data());
    if (aligns)
      judge.assigned()->align(other.data(), target.data());
    for (std::size_t c = 0; c < v; ++c)
      all.push_back(double(other[c]) - double(x[c]));
  }
  return all;
}

namespace {

std::vector<double> gram_of(const std::vector<double> &differences, std::size_t k) {
  return product_transposed(differences, differences, differences.size() / k);
}

// Over the distance to the mean of all.
double relative_span(const std::vector<double> &differences, std::size_t k) {
  const auto gram = gram_of(differences, k);
  double to_mean = 0;
  for (const double product : gram)
    to_mean += product / double(k * k);
  return to_mean > 0 ? distance_to_span(gram, k) / std::sqrt(to_mean) : 0;
}

} // namespace

void HullJudge::judge(const NoveltyJudge &judge, const JudgedGroup &judged, GroupReport &report) const {
  const std::size_t v = parameters_, n = std::min(networks_, judged.sound.count);
  NetworkSet some = judged.sound;
  some.count = n;
  some.source.resize(std::min(some.source.size(), n));
  const NetworkSet &training = judge.training();
  const std::size_t k = std::min(closest_, training.count > 2 ? training.count - 2 : 0);
  if (k < 2 || n == 0)
    return;
  const auto nearest = judge.nearest(some, true, k, {});
  std::vector<float> theta(n * v), reference(v);
  for (std::size_t i = 0; i < n; ++i)
    some.network(i, theta.data() + i * v);
  judge.reference(reference.data());
  const float none = float(Estimate::none);
  std::vector<float> hull(n, none), span(n, none), raw_span(n, none);
  parallel_each(long(n), [&](long i) {
    std::vector<Nearest> mine;
    for (std::size_t j = 0; j < k; ++j)
      if (const Nearest &each = nearest[std::size_t(i) * k + j]; each.index < training.count)
        mine.push_back(each);
    const std::size_t found = mine.size();
    if (found < 2)
      return;
    const float *network = theta.data() + std::size_t(i) * v;
    const auto there = [&](Units units) { return differences(judge, network, mine, units, reference); };
    const auto gram = gram_of(there(Units::at_network), found);
    double to_nearest = gram[0];
    for (std::size_t j = 0; j < found; ++j)
      to_nearest = std::min(to_nearest, gram[j * found + j]);
    const double whole = distance_to_hull(gram, found), beside = distance_to_span(gram, found);
    const double within = std::sqrt(std::max(0.0, whole * whole - beside * beside));
    hull[std::size_t(i)] = to_nearest > 0 ? float(within / std::sqrt(to_nearest)) : 1.0f; // the network itself
    span[std::size_t(i)] = float(relative_span(there(Units::at_reference), found));
    if (judge.assigned())
      raw_span[std::size_t(i)] = float(relative_span(there(Units::as_they_lie), found));
  });
  report.values["hull"] = std::move(hull), report.values["span"] = std::move(span);
  if (judge.assigned())
    report.values["raw_span"] = std::move(raw_span);
}

} // namespace theta
