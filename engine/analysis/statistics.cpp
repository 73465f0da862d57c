#include "statistics.h"
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
  const double n = double(a.size()), m = double(b.size());
  if (n == 0 || m == 0)
    return 0;
  return (mann_whitney_u(a, b) - n * m / 2) / std::sqrt(n * m * (n + m + 1) / 12);
}

} // namespace theta
