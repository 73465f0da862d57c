#include "baselines.h"
#include "data/work_file.h"
#include "engine/weights/dense.h"
#include "engine/weights/normalizer.h"
#include "engine/weights/unit_elements.h"
#include "kernels/device/parallel.h"
#include "kernels/device/philox.h"
#include <algorithm>
#include <cmath>
#include <memory>
#include <tuple>

namespace theta {

namespace {

constexpr std::size_t window = std::size_t(1) << 18; // of a network's parameters

template <class F> void for_parameters(const ZooReader &zoo, F f) {
  constexpr double steps_of_a_draw = 50;
  parallel_for(long(zoo.parameters()), steps_of_a_draw * double(zoo.parameters()), [&](long c) { f(std::size_t(c)); });
}

std::size_t pick(const std::vector<std::size_t> &rows, std::uint64_t seed, Purpose purpose, std::uint32_t stream,
                 std::uint64_t position) {
  return rows[shuffled(seed, purpose, stream, position, std::uint32_t(rows.size()))];
}

} // namespace

NetworkSet rows_of(const ZooReader &zoo, std::vector<std::size_t> rows) {
  NetworkSet set{rows.size(), {}, std::move(rows)};
  set.network = [&zoo, rows = set.source](std::size_t i, float *theta) { zoo.theta(rows[i], theta); };
  return set;
}

NetworkSet choose(const ZooReader &zoo, const std::vector<std::size_t> &rows, std::size_t count, std::uint64_t seed,
                  std::uint32_t stream) {
  std::vector<std::size_t> chosen;
  for (std::size_t i = 0; i < std::min(count, rows.size()); ++i)
    chosen.push_back(pick(rows, seed, Purpose::group_choice, stream, i));
  return rows_of(zoo, std::move(chosen));
}

NetworkSet noisy_copies(const ZooReader &zoo, const std::vector<std::size_t> &rows, std::size_t count, double sigma,
                        std::uint64_t seed, std::uint32_t stream) {
  return {count, [=, &zoo, &rows](std::size_t i, float *theta) {
            const auto draw = std::uint32_t(stream * count + i);
            zoo.theta(pick(rows, seed, Purpose::group_choice, stream, i), theta);
            for_parameters(
                zoo, [&](std::size_t c) { theta[c] += float(sigma) * normal(seed, Purpose::noise_baseline, draw, c); });
          }};
}

NetworkSet averages(const ZooReader &zoo, const std::vector<std::size_t> &rows, std::size_t count, std::size_t each,
                    std::uint64_t seed, Meet meet) {
  return {count, [=, &zoo, &rows, meet = std::move(meet)](std::size_t i, float *theta) {
            const std::size_t v = zoo.parameters();
            const auto row = [&](std::size_t j) { // the first `each` of an order of its own: without repetition
              return pick(rows, seed, Purpose::average_baseline, std::uint32_t(i), j);
            };
            if (meet) {
              std::vector<float> first(v), other(v);
              zoo.theta(row(0), first.data());
              std::vector<double> sum(v, 0);
              for (std::size_t j = 1; j < each; ++j) {
                zoo.theta(row(j), other.data());
                meet(other.data(), first.data());
                for (std::size_t c = 0; c < v; ++c)
                  sum[c] += double(other[c]);
              }
              for (std::size_t c = 0; c < v; ++c)
                theta[c] = float((sum[c] + double(first[c])) / double(each));
              return;
            }
            std::vector<float> part(std::min(v, window));
            for (std::size_t first = 0; first < v; first += part.size()) {
              const std::size_t n = std::min(part.size(), v - first);
              std::fill_n(theta + first, n, 0.0f);
              for (std::size_t j = 0; j < each; ++j) {
                zoo.theta(row(j), first, n, part.data());
                for (std::size_t c = 0; c < n; ++c)
                  theta[first + c] += part[c] / float(each);
              }
            }
          }};
}

namespace {

// Streams of draws; averages have those from 0 on, mixtures those from 2³¹ on.
constexpr std::uint32_t streams_of_numbers = 1u << 30, streams_of_units = 3u << 29;

std::uint32_t below(std::size_t n, std::uint64_t seed, std::uint32_t stream, std::uint64_t draw) {
  return std::uint32_t(std::uint64_t(philox(seed, Purpose::average_baseline, stream, draw).word[0]) * n >> 32);
}

} // namespace

NetworkSet independent_numbers(const ZooReader &zoo, const std::vector<std::size_t> &rows, std::size_t count,
                               std::uint64_t seed) {
  // Of so many networks at once: a network read for every number would be slow.
  const std::size_t n = std::min<std::size_t>(rows.size(), 4096), v = zoo.parameters();
  auto all = std::make_shared<std::vector<float>>(n * v);
  for (std::size_t i = 0; i < n; ++i)
    zoo.theta(pick(rows, seed, Purpose::average_baseline, streams_of_numbers, i), all->data() + i * v);
  return {count, [=](std::size_t i, float *theta) {
            for (std::size_t c = 0; c < v; ++c)
              theta[c] = (*all)[below(n, seed, streams_of_numbers + 1 + std::uint32_t(i), c) * v + c];
          }};
}

NetworkSet independent_units(const ZooReader &zoo, const NetworkShape &shape, const std::vector<std::size_t> &rows,
                             std::size_t count, std::uint64_t seed) {
  return {count, [=, &zoo, &rows, groups = unit_elements(shape)](std::size_t i, float *theta) {
            const std::uint32_t stream = streams_of_units + std::uint32_t(i);
            std::vector<float> other(zoo.parameters());
            std::uint64_t draw = 0;
            const auto row = [&] { return rows[below(rows.size(), seed, stream, draw++)]; };
            zoo.theta(row(), theta);
            for (const UnitElements &group : groups)
              for (std::size_t unit = 0; unit < group.units; ++unit) {
                zoo.theta(row(), other.data());
                group.each_pair(unit, below(group.units, seed, stream, draw++),
                                [&](std::size_t to, std::size_t from) { theta[to] = other[from]; });
              }
          }};
}

NetworkSet mixtures(const ZooReader &zoo, const std::vector<std::size_t> &rows, std::size_t count, std::uint64_t seed,
                    Meet meet) {
  return {count, [=, &zoo, &rows, meet = std::move(meet)](std::size_t i, float *theta) {
            constexpr std::uint32_t streams_of_mixtures = 1u << 31; // others' are below
            const std::uint32_t stream = streams_of_mixtures + std::uint32_t(i);
            std::vector<float> second(zoo.parameters());
            zoo.theta(pick(rows, seed, Purpose::average_baseline, stream, 0), theta);
            zoo.theta(pick(rows, seed, Purpose::average_baseline, stream, 1 % rows.size()), second.data());
            if (meet)
              meet(second.data(), theta);
            const float t = uniform01(philox(seed, Purpose::average_baseline, stream, 1u << 30).word[0]);
            for (std::size_t c = 0; c < second.size(); ++c)
              theta[c] += t * (second[c] - theta[c]);
          }};
}

NetworkSet made_once(NetworkSet set, std::size_t parameters, std::size_t most) {
  if (set.count * parameters * sizeof(float) > most)
    return set;
  auto all = std::make_shared<std::vector<float>>(set.count * parameters);
  parallel_each(long(set.count),
                [&](long i) { set.network(std::size_t(i), all->data() + std::size_t(i) * parameters); });
  set.network = [all, parameters](std::size_t i, float *theta) {
    std::copy_n(all->data() + i * parameters, parameters, theta);
  };
  return set;
}

namespace {

// Means and deviations of all coordinates, in memory or in a file.
class Statistics {
public:
  Statistics(const ZooReader &zoo, const std::vector<std::size_t> &rows, const std::filesystem::path &scratch)
      : parameters_(zoo.parameters()) {
    if (!scratch.empty())
      file_ = std::make_unique<WorkFile>(scratch, true);
    else
      memory_.resize(2 * parameters_);
    coordinate_statistics(zoo, rows, [&](std::size_t first, std::size_t n, const float *mean, const float *std) {
      for (const auto &[at, from] : {std::pair{first, mean}, {parameters_ + first, std}})
        if (file_)
          file_->write(at * sizeof(float), from, n * sizeof(float));
        else
          std::copy_n(from, n, memory_.begin() + std::ptrdiff_t(at));
    });
  }
  ~Statistics() {
    std::error_code ignored;
    if (file_)
      std::filesystem::remove(file_->path(), ignored);
  }
  void read(std::size_t first, std::size_t n, float *mean, float *std) const {
    for (const auto &[at, to] : {std::pair{first, mean}, {parameters_ + first, std}})
      if (file_)
        file_->read(at * sizeof(float), to, n * sizeof(float));
      else
        std::copy_n(memory_.begin() + std::ptrdiff_t(at), n, to);
  }

private:
  std::size_t parameters_;
  std::vector<float> memory_;
  std::unique_ptr<WorkFile> file_;
};

} // namespace

NetworkSet gaussians(const ZooReader &zoo, const std::vector<std::size_t> &rows, std::size_t count, std::uint64_t seed,
                     const std::filesystem::path &scratch) {
  const auto fitted = std::make_shared<Statistics>(zoo, rows, scratch);
  return {count, [=, &zoo, first_row = rows.front()](std::size_t i, float *theta) {
            const std::size_t v = zoo.parameters(), most = std::min(v, window);
            std::vector<float> mean(most), std(most);
            zoo.theta(first_row, theta);
            for (std::size_t first = 0; first < v; first += most) {
              const std::size_t n = std::min(most, v - first);
              fitted->read(first, n, mean.data(), std.data());
              constexpr double steps_of_a_draw = 50;
              parallel_for(long(n), steps_of_a_draw * double(n), [&](long c) {
                float &value = theta[first + std::size_t(c)];
                // A coordinate in which all networks agree has std 1 in a normaliser, and 0 here.
                const bool constant = std[std::size_t(c)] == 1.0f && mean[std::size_t(c)] == value;
                value = mean[std::size_t(c)] +
                        (constant ? 0
                                  : std[std::size_t(c)] * normal(seed, Purpose::gaussian_baseline, std::uint32_t(i),
                                                                 first + std::size_t(c)));
              });
            }
          }};
}

NetworkSet along_runs(const ZooReader &zoo, const std::vector<std::size_t> &rows, std::size_t count,
                      std::uint64_t seed) {
  const auto run = zoo.integers("run"), step = zoo.integers("step");
  auto sorted = rows;
  std::sort(sorted.begin(), sorted.end(), [&](std::size_t a, std::size_t b) {
    return std::tuple(run[a], step[a], a) < std::tuple(run[b], step[b], b);
  });
  std::vector<std::size_t> first, second; // rows
  for (std::size_t i = 1; i < sorted.size(); ++i)
    if (run[sorted[i]] == run[sorted[i - 1]])
      first.push_back(sorted[i - 1]), second.push_back(sorted[i]);
  if (first.empty())
    return {};
  return {count, [=, &zoo](std::size_t i, float *theta) {
            constexpr std::uint32_t streams_of_runs = 3u << 30; // others' are below
            const std::uint32_t stream = streams_of_runs + std::uint32_t(i);
            const auto bits = philox(seed, Purpose::average_baseline, stream, 0);
            const std::size_t pair = uniform_below(bits.word[0], std::uint32_t(first.size()));
            const float t = uniform01(bits.word[1]);
            std::vector<float> later(zoo.parameters());
            zoo.theta(first[pair], theta), zoo.theta(second[pair], later.data());
            for (std::size_t c = 0; c < later.size(); ++c)
              theta[c] += t * (later[c] - theta[c]);
          }};
}

NetworkSet aligned(const ZooReader &zoo, const std::vector<std::size_t> &rows, std::size_t most, std::uint64_t seed,
                   const Meet &meet) {
  NetworkSet set = choose(zoo, rows, most, seed, 18);
  const std::size_t first = set.source.front(), v = zoo.parameters();
  set.network = [&zoo, meet, first, v, source = std::move(set.source)](std::size_t i, float *theta) {
    std::vector<float> reference(v);
    zoo.theta(first, reference.data()), zoo.theta(source[i], theta);
    meet(theta, reference.data());
  };
  set.source.clear();
  return made_once(std::move(set), v);
}

NetworkSet gaussians(const NetworkSet &seen, std::size_t v, std::size_t count, std::uint64_t seed) {
  struct Fitted {
    std::vector<double> mean, deviation; // [V]
  };
  const auto fitted = std::make_shared<Fitted>(Fitted{std::vector<double>(v, 0), std::vector<double>(v, 0)});
  std::vector<float> theta(v);
  for (std::size_t i = 0; i < seen.count; ++i) {
    seen.network(i, theta.data());
    for (std::size_t c = 0; c < v; ++c) { // Welford's
      const double difference = double(theta[c]) - fitted->mean[c];
      fitted->mean[c] += difference / double(i + 1);
      fitted->deviation[c] += difference * (double(theta[c]) - fitted->mean[c]);
    }
  }
  for (double &d : fitted->deviation)
    d = std::sqrt(d / double(seen.count));
  return {count, [fitted, v, seed](std::size_t i, float *to) {
            for (std::size_t c = 0; c < v; ++c)
              to[c] = float(fitted->mean[c] + fitted->deviation[c] * double(normal(seed, Purpose::gaussian_baseline,
                                                                                   std::uint32_t(i), c)));
          }};
}

NetworkSet full_gaussians(const NetworkSet &seen, std::size_t v, std::size_t count, std::uint64_t seed) {
  if (v > most_covariance)
    throw InputError("baseline: found networks of ", v, " parameters, expected at most ", most_covariance,
                     " for a covariance");
  std::vector<double> mean(v, 0);
  std::vector<float> theta(v);
  for (std::size_t i = 0; i < seen.count; ++i) {
    seen.network(i, theta.data());
    for (std::size_t c = 0; c < v; ++c)
      mean[c] += double(theta[c]) / double(seen.count);
  }
  constexpr std::size_t block = 256;
  std::vector<double> covariance(v * v, 0);
  for (std::size_t first = 0; first < seen.count; first += block) {
    const std::size_t n = std::min(block, seen.count - first);
    std::vector<double> part(n * v); // [n, V]
    for (std::size_t i = 0; i < n; ++i) {
      seen.network(first + i, theta.data());
      for (std::size_t c = 0; c < v; ++c)
        part[i * v + c] = double(theta[c]) - mean[c];
    }
    const auto products = transposed_product(part, part, n);
    for (std::size_t e = 0; e < v * v; ++e)
      covariance[e] += products[e] / double(seen.count);
  }
  Spectrum root = spectrum_of(covariance.data(), v); // its vectors by the roots of their values
  for (std::size_t j = 0; j < v; ++j)
    for (std::size_t c = 0; c < v; ++c)
      root.vectors[j * v + c] *= std::sqrt(std::max(0.0, root.values[j]));
  struct Fitted {
    std::vector<double> mean, directions; // [V], [V, V]: a direction a row
  };
  const auto fitted = std::make_shared<const Fitted>(std::move(mean), std::move(root.vectors));
  return {count, [fitted, v, seed](std::size_t i, float *to) {
            std::vector<double> at = fitted->mean;
            for (std::size_t j = 0; j < v; ++j) {
              const double draw = normal(seed, Purpose::gaussian_baseline, std::uint32_t(i), std::uint64_t(j));
              for (std::size_t c = 0; c < v; ++c)
                at[c] += draw * fitted->directions[j * v + c];
            }
            std::copy(at.begin(), at.end(), to);
          }};
}

} // namespace theta
