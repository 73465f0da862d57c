#include "mixture.h"
#include "kernels/device/philox.h"
#include <algorithm>
#include <cmath>
#include <numeric>

namespace theta {

namespace {

// Gamma(a) (Marsaglia & Tsang, 2000; below 1 by their power of a uniform number), from a run's own stream.
double gamma_draw(double a, std::uint64_t seed, std::uint32_t run, std::uint64_t &at) {
  const double d = (a < 1 ? a + 1 : a) - 1.0 / 3, c = 1 / std::sqrt(9 * d);
  for (;;) {
    const Bits4 bits = philox(seed, Purpose::mixture, run, at++);
    const double x = double(normal_pair(bits.word[0], bits.word[1]).even), v = std::pow(1 + c * x, 3);
    if (v <= 0 || std::log(double(uniform01(bits.word[2]))) >= 0.5 * x * x + d - d * v + d * std::log(v))
      continue;
    return a < 1 ? d * v * std::pow(double(uniform01(bits.word[3])), 1 / a) : d * v;
  }
}

} // namespace

std::vector<float> shares_of(const ZooRecipe &r, std::uint64_t seed, long run, int classes) {
  const auto n = std::size_t(classes);
  if (r.mixture.a <= 0)
    return std::vector<float>(n, 1 / float(classes));
  const long held_out = long(std::floor(double(run) * r.held_out)); // before this one
  if (is_held_out(run, r.held_out) && held_out < long(r.mixture.pure) * classes) {
    std::vector<float> one(n);
    one[std::size_t(held_out) % n] = 1;
    return one;
  }
  std::vector<double> drawn(n);
  for (std::uint64_t at = 0;;) {
    for (double &each : drawn)
      each = gamma_draw(r.mixture.a, seed, std::uint32_t(run), at);
    const double all = std::accumulate(drawn.begin(), drawn.end(), 0.0);
    for (double &each : drawn)
      each = each < r.mixture.least * all ? 0 : each;
    const double sum = std::accumulate(drawn.begin(), drawn.end(), 0.0);
    if (!(sum > 0) || *std::max_element(drawn.begin(), drawn.end()) > std::max(r.mixture.most, 1.0 / classes) * sum)
      continue;
    std::vector<float> shares;
    for (const double each : drawn)
      shares.push_back(float(each / sum));
    return shares;
  }
}

std::string share_column(const std::string &class_name) { return "share_" + class_name; }

} // namespace theta
