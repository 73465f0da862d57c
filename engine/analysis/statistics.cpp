#include "statistics.h"
#include "kernels/device/parallel.h"
#include "kernels/device/philox.h"
#include <algorithm>
#include <cmath>

namespace theta {

Summary summarise(const std::vector<float> &x) {
  if (x.empty())
    return {};
  Summary s{.min = x[0], .max = x[0]};
  for (const double v : x)
    s.mean += v / double(x.size()), s.min = std::min(s.min, v), s.max = std::max(s.max, v);
  for (const double v : x)
    s.std += (v - s.mean) * (v - s.mean);
  s.std = x.size() > 1 ? std::sqrt(s.std / double(x.size() - 1)) : 0;
  return s;
}

Share share_of(double successes, std::size_t n) {
  if (n == 0)
    return {};
  const double z = 1.959963984540054, trials = double(n), p = successes / trials;
  const double centre = (p + z * z / (2 * trials)) / (1 + z * z / trials);
  const double half = z / (1 + z * z / trials) * std::sqrt(p * (1 - p) / trials + z * z / (4 * trials * trials));
  return {p, std::max(0.0, centre - half), std::min(1.0, centre + half), n};
}

double quantile(std::vector<float> x, double q) {
  if (x.empty())
    return Estimate::none;
  const double at = q * double(x.size() - 1);
  const auto low = std::size_t(at);
  std::nth_element(x.begin(), x.begin() + std::ptrdiff_t(low), x.end());
  const double first = x[low];
  if (double(low) == at)
    return first;
  const double next = *std::min_element(x.begin() + std::ptrdiff_t(low) + 1, x.end());
  return first + (next - first) * (at - double(low));
}

Estimate estimate_of(const Share &s) { return s.n == 0 ? Estimate{} : Estimate{s.share, s.low, s.high, s.n}; }

std::vector<std::size_t> resample(std::size_t n, std::uint32_t draw) {
  std::vector<std::size_t> indices(n);
  for (std::size_t i = 0; i < n; i += 4) {
    const Bits4 bits = philox(0, Purpose::bootstrap, draw, i / 4);
    for (std::size_t j = 0; j < 4 && i + j < n; ++j)
      indices[i + j] = std::size_t(std::uint64_t(bits.word[j]) * n >> 32);
  }
  return indices;
}

Estimate between_quantiles(double value, std::vector<float> of_samples, std::size_t n) {
  std::erase_if(of_samples, [](float x) { return !std::isfinite(x); });
  return {value, quantile(of_samples, 0.025), quantile(of_samples, 0.975), n};
}

Estimate bootstrapped_mean(const std::vector<float> &all) {
  constexpr int draws = 1000;
  std::vector<float> x;
  for (const float v : all)
    if (std::isfinite(v))
      x.push_back(v);
  if (x.empty())
    return {};
  std::vector<float> means(draws);
  parallel_for(draws, 4.0 * draws * double(x.size()), [&](long draw) {
    double sum = 0;
    for (const std::size_t i : resample(x.size(), std::uint32_t(draw)))
      sum += x[i];
    means[std::size_t(draw)] = float(sum / double(x.size()));
  });
  return between_quantiles(summarise(x).mean, std::move(means), x.size());
}

double mann_whitney_u(const std::vector<float> &a, const std::vector<float> &b) {
  auto sorted = b;
  std::sort(sorted.begin(), sorted.end());
  double u = 0;
  for (const float x : a) {
    const auto [first, last] = std::equal_range(sorted.begin(), sorted.end(), x);
    u += double(first - sorted.begin()) + 0.5 * double(last - first);
  }
  return u;
}

double mann_whitney_z(const std::vector<float> &a, const std::vector<float> &b) {
  const double n = double(a.size()), m = double(b.size()), all = n + m;
  if (n == 0 || m == 0)
    return 0;
  std::vector<float> together = a;
  together.insert(together.end(), b.begin(), b.end());
  std::sort(together.begin(), together.end());
  double ties = 0; // Σ t³ − t over runs of t equal values
  for (std::size_t first = 0, last = 0; first < together.size(); first = last) {
    while (last < together.size() && together[last] == together[first])
      ++last;
    const double t = double(last - first);
    ties += t * t * t - t;
    if (last == first)
      break; // not a number
  }
  const double variance = n * m / 12 * (all + 1 - ties / (all * (all - 1)));
  return variance > 0 ? (mann_whitney_u(a, b) - n * m / 2) / std::sqrt(variance) : 0;
}

Estimate mean_over_pairs(const std::vector<float> &matrix, std::size_t n) {
  return bootstrapped(n, 200, [&](const std::vector<std::size_t> &of) {
    double sum = 0, count = 0;
    for (std::size_t i = 0; i < of.size(); ++i)
      for (std::size_t j = i + 1; j < of.size(); ++j)
        if (of[i] != of[j])
          sum += double(matrix[of[i] * n + of[j]]), count += 1;
    return count > 0 ? sum / count : Estimate::none;
  });
}

} // namespace theta
