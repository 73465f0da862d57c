#include "baselines.h"
#include "engine/weights/normalizer.h"
#include "kernels/device/philox.h"
#include <algorithm>

namespace theta {

namespace {

std::size_t pick(const std::vector<std::size_t> &rows, std::uint64_t seed, Purpose purpose, std::uint32_t stream,
                 std::uint64_t position) {
  return rows[shuffled(seed, purpose, stream, position, std::uint32_t(rows.size()))];
}

} // namespace

NetworkSet choose(const ZooReader &zoo, const std::vector<std::size_t> &rows, std::size_t count, std::uint64_t seed,
                  std::uint32_t stream) {
  NetworkSet set;
  set.count = std::min(count, rows.size());
  set.theta.resize(set.count * zoo.parameters());
  for (std::size_t i = 0; i < set.count; ++i) {
    set.source.push_back(pick(rows, seed, Purpose::group_choice, stream, i));
    zoo.theta(set.source.back(), set.theta.data() + i * zoo.parameters());
  }
  return set;
}

NetworkSet noisy_copies(const ZooReader &zoo, const std::vector<std::size_t> &rows, std::size_t count, double sigma,
                        std::uint64_t seed, std::uint32_t stream) {
  const std::size_t v = zoo.parameters();
  NetworkSet set{.count = count, .theta = std::vector<float>(count * v), .source = {}};
  for (std::size_t i = 0; i < count; ++i) {
    float *row = set.theta.data() + i * v;
    const auto draw = std::uint32_t(stream * count + i);
    zoo.theta(pick(rows, seed, Purpose::group_choice, stream, i), row);
    for (std::size_t c = 0; c < v; ++c)
      row[c] += float(sigma) * normal(seed, Purpose::noise_baseline, draw, c);
  }
  return set;
}

NetworkSet averages(const ZooReader &zoo, const std::vector<std::size_t> &rows, std::size_t count, std::size_t each,
                    std::uint64_t seed) {
  const std::size_t v = zoo.parameters();
  NetworkSet set{.count = count, .theta = std::vector<float>(count * v), .source = {}};
  std::vector<float> row(v);
  for (std::size_t i = 0; i < count; ++i)
    for (std::size_t j = 0; j < each; ++j) { // the first `each` of an order of its own: without repetition
      zoo.theta(pick(rows, seed, Purpose::average_baseline, std::uint32_t(i), j), row.data());
      for (std::size_t c = 0; c < v; ++c)
        set.theta[i * v + c] += row[c] / float(each);
    }
  return set;
}

NetworkSet gaussians(const ZooReader &zoo, const std::vector<std::size_t> &rows, std::size_t count,
                     std::uint64_t seed) {
  const std::size_t v = zoo.parameters();
  const Normalizer fitted = fit_normalizer(NormalizerKind::coordinate, zoo, rows);
  std::vector<float> first(v);
  zoo.theta(rows.front(), first.data());
  NetworkSet set{.count = count, .theta = std::vector<float>(count * v), .source = {}};
  for (std::size_t i = 0; i < count; ++i)
    for (std::size_t c = 0; c < v; ++c) {
      // A coordinate in which all networks agree has std 1 in a normaliser, and 0 here.
      const bool constant = fitted.std[c] == 1.0f && fitted.mean[c] == first[c];
      set.theta[i * v + c] =
          fitted.mean[c] +
          (constant ? 0 : fitted.std[c] * normal(seed, Purpose::gaussian_baseline, std::uint32_t(i), c));
    }
  return set;
}

} // namespace theta
