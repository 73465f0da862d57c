// What any claim of generating networks must beat: copies with noise, averages, and a Gaussian fit of every coordinate.
#pragma once
#include "data/zoo_reader.h"
#include "engine/zoo/evaluator.h"

namespace theta {

// Networks, read or made when they are asked for: nobody holds them all. A zoo that they come from must live as long.
struct NetworkSet {
  std::size_t count = 0;
  NetworkOf network;
  std::vector<std::size_t> source{}; // rows of the zoo; empty: made, not taken
};

// Rows of a zoo as they are.
NetworkSet rows_of(const ZooReader &, std::vector<std::size_t> rows);

// The first `count` of `rows` in a random order drawn from `seed` and `stream`; all of them where there are fewer.
NetworkSet choose(const ZooReader &, const std::vector<std::size_t> &rows, std::size_t count, std::uint64_t seed,
                  std::uint32_t stream);

// `count` networks: a random training network each, plus N(0, sigma²) on every parameter.
NetworkSet noisy_copies(const ZooReader &, const std::vector<std::size_t> &rows, std::size_t count, double sigma,
                        std::uint64_t seed, std::uint32_t stream);

// Brings the second network to where it is nearest to the first.
using Meet = std::function<void(float *second, float *first)>;

// `count` networks: the average of `each` random training networks, all brought to the first of them, unless there is
// nothing that does so.
NetworkSet averages(const ZooReader &, const std::vector<std::size_t> &rows, std::size_t count, std::size_t each,
                    std::uint64_t seed, Meet meet = {});

// `count` networks: every number from a training network of its own, drawn at random.
NetworkSet independent_numbers(const ZooReader &, const std::vector<std::size_t> &rows, std::size_t count,
                               std::uint64_t seed);

// `count` networks: a random training network, each of whose units (engine/weights/unit_elements.h) is a random one of
// another.
NetworkSet independent_units(const ZooReader &, const NetworkShape &, const std::vector<std::size_t> &rows,
                             std::size_t count, std::uint64_t seed);

// `count` networks: a point of the straight line between two random training networks, the second brought to the first.
NetworkSet mixtures(const ZooReader &, const std::vector<std::size_t> &rows, std::size_t count, std::uint64_t seed,
                    Meet meet = {});

// The same networks, made once and held in memory, where they take no more than `most` bytes.
NetworkSet made_once(NetworkSet, std::size_t parameters, std::size_t most = std::size_t(256) << 20);

// `count` networks: every coordinate from N(mean, variance) of that coordinate over the training networks. The two, [V]
// each, are in memory, or, where `scratch` is given, in a file of that name, which goes with the set.
NetworkSet gaussians(const ZooReader &, const std::vector<std::size_t> &rows, std::size_t count, std::uint64_t seed,
                     const std::filesystem::path &scratch = {});

// `count` networks, where training runs have several checkpoints: a point of the straight line between two of one run's
// that follow one another; else none.
NetworkSet along_runs(const ZooReader &, const std::vector<std::size_t> &rows, std::size_t count, std::uint64_t seed);

// The first `most` of `rows` in a random order, all brought to the first of them, and in memory.
NetworkSet aligned(const ZooReader &, const std::vector<std::size_t> &rows, std::size_t most, std::uint64_t seed,
                   const Meet &);
// Every coordinate from N(mean, variance) of that coordinate over networks of V parameters; for few, or small ones.
NetworkSet gaussians(const NetworkSet &, std::size_t parameters, std::size_t count, std::uint64_t seed);

// `count` networks of the Gaussian with the training networks' mean and covariance: all their principal directions,
// each with its own deviation. Takes V² doubles twice. Throws InputError beyond `most_covariance` parameters.
inline constexpr std::size_t most_covariance = 2048;
NetworkSet full_gaussians(const NetworkSet &, std::size_t parameters, std::size_t count, std::uint64_t seed);

} // namespace theta
