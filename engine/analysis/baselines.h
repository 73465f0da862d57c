// What any claim of generating networks must beat: copies with noise, averages, and a Gaussian fit of every coordinate.
#pragma once
#include "data/zoo_reader.h"
#include <cstdint>

namespace theta {

// Rows of networks in host memory, [count, V], and where each comes from (a row of the zoo, or none).
struct NetworkSet {
  std::size_t count = 0;
  std::vector<float> theta;
  std::vector<std::size_t> source; // empty: made, not taken
};

// The first `count` of `rows` in a random order drawn from `seed` and `stream`; all of them where there are fewer.
NetworkSet choose(const ZooReader &, const std::vector<std::size_t> &rows, std::size_t count, std::uint64_t seed,
                  std::uint32_t stream);

// `count` networks: a random training network each, plus N(0, sigma²) on every parameter.
NetworkSet noisy_copies(const ZooReader &, const std::vector<std::size_t> &rows, std::size_t count, double sigma,
                        std::uint64_t seed, std::uint32_t stream);

// `count` networks: the average of `each` random training networks.
NetworkSet averages(const ZooReader &, const std::vector<std::size_t> &rows, std::size_t count, std::size_t each,
                    std::uint64_t seed);

// `count` networks: every coordinate from N(mean, variance) of that coordinate over the training networks.
NetworkSet gaussians(const ZooReader &, const std::vector<std::size_t> &rows, std::size_t count, std::uint64_t seed);

} // namespace theta
