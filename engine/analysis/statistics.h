// Small statistics of samples.
#pragma once
#include <cstddef>
#include <vector>

namespace theta {

struct Summary {
  double mean = 0, std = 0, min = 0, max = 0; // std: of a sample (n − 1)
};
Summary summarise(const std::vector<float> &); // zeros for an empty one

// A share of successes among n trials, with Wilson's 95 % interval (Wilson 1927). Ties may count half.
struct Share {
  double share = 0, low = 0, high = 1;
  std::size_t n = 0;
};
Share share_of(double successes, std::size_t n);

// Mann-Whitney's U of `a` over `b`: how many pairs have a > b, ties half (Mann & Whitney, 1947).
double mann_whitney_u(const std::vector<float> &a, const std::vector<float> &b);

// The same, standardised by its normal approximation without ties: below 0 where a tends to be smaller. With distances
// of generated and of held-out networks to the nearest training network it is Z_U, the data-copying statistic (Meehan,
// Chaudhuri & Dasgupta, 2020). 0 where one is empty.
double mann_whitney_z(const std::vector<float> &a, const std::vector<float> &b);

} // namespace theta
