// What the directions of a subspace keep of a network.
#include "engine/weights/matching.h"
#include "engine/weights/symmetry.h"
#include "subspace.h"

namespace theta {

namespace {

constexpr std::size_t most_bytes = std::size_t(1) << 30; // of directions

struct Projection {
  SubspaceConfig config;
  NetworkFacts facts;
  std::vector<float> first, mean, directions; // [V], [V], [d, V]

  void operator()(float *theta) const {
    if (config.balance)
      balance(theta, *facts.shape);
    if (config.align)
      match_units(theta, first.data(), *facts.shape);
    const std::size_t v = mean.size(), d = directions.size() / v;
    std::vector<double> apart(v), sum(mean.begin(), mean.end());
    for (std::size_t i = 0; i < v; ++i)
      apart[i] = double(theta[i]) - double(mean[i]);
    for (std::size_t k = 0; k < d; ++k) {
      const float *direction = directions.data() + k * v;
      double along = 0;
      for (std::size_t i = 0; i < v; ++i)
        along += apart[i] * double(direction[i]);
      for (std::size_t i = 0; i < v; ++i)
        sum[i] += along * double(direction[i]);
    }
    std::copy(sum.begin(), sum.end(), theta);
  }
};

} // namespace

std::function<void(float *theta)> projection(const std::filesystem::path &path, const NetworkFacts &facts,
                                             std::vector<float> first) {
  const Subspace s = load_subspace(path);
  if ((s.config.balance || s.config.align) && !facts.shape)
    return {};
  if (s.scale.size() * s.networks.parameters * sizeof(float) > most_bytes)
    return {};
  const Safetensors file(path);
  if (s.config.balance)
    balance(first.data(), *facts.shape);
  return [p = std::make_shared<const Projection>(
              Projection{s.config, facts, std::move(first), file.read<float>(subspace_mean),
                         file.read<float>(subspace_directions)})](float *theta) { (*p)(theta); };
}

} // namespace theta
