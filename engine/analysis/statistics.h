// Small statistics of samples.
#pragma once
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

namespace theta {

struct Summary {
  double mean = 0, std = 0, min = 0, max = 0; // std: of a sample (n − 1)
};
Summary summarise(const std::vector<float> &); // zeros for an empty one

// The q-quantile, linear between neighbours (numpy's and scipy's usual one). NaN of nothing.
double quantile(std::vector<float>, double q);

// A share of successes among n trials, with Wilson's 95 % interval (Wilson 1927). Ties may count half.
struct Share {
  double share = 0, low = 0, high = 1;
  std::size_t n = 0;
};
Share share_of(double successes, std::size_t n);

// A number that is measured of a sample of n, with a 95 % interval; NaN where there is none.
struct Estimate {
  static constexpr double none = std::numeric_limits<double>::quiet_NaN();
  double value = none, low = none, high = none;
  std::size_t n = 0;
};
Estimate estimate_of(const Share &);

// The mean, between the 2.5 % and the 97.5 % quantile of the means of 1,000 samples drawn from the sample with
// replacement (the percentile bootstrap: Efron, 1979), always the same ones. What is not finite is left out.
Estimate bootstrapped_mean(const std::vector<float> &);

// Any statistic of n things, from the indices that it is to be taken of: of all in their order for its value, and of
// `draws` samples with replacement. A statistic may be NaN; such draws are left out.
template <class F> Estimate bootstrapped(std::size_t n, int draws, F statistic);
// Sample `draw` of those: n indices below n.
std::vector<std::size_t> resample(std::size_t n, std::uint32_t draw);
// `value` between the quantiles of what samples gave.
Estimate between_quantiles(double value, std::vector<float> of_samples, std::size_t n);

// Mann-Whitney's U of `a` over `b`: how many pairs have a > b, ties half (Mann & Whitney, 1947).
double mann_whitney_u(const std::vector<float> &a, const std::vector<float> &b);

// The same, standardised by its normal approximation, corrected for ties: below 0 where a tends to be smaller. With
// distances of generated and of held-out networks to the nearest training network it is Z_U, the data-copying statistic
// (Meehan, Chaudhuri & Dasgupta, 2020). 0 where one is empty.
double mann_whitney_z(const std::vector<float> &a, const std::vector<float> &b);

template <class F> Estimate bootstrapped(std::size_t n, int draws, F statistic) {
  std::vector<std::size_t> all(n);
  for (std::size_t i = 0; i < n; ++i)
    all[i] = i;
  const double value = statistic(all);
  std::vector<float> of_samples;
  for (int draw = 0; draw < draws; ++draw)
    of_samples.push_back(float(statistic(resample(n, std::uint32_t(draw)))));
  return between_quantiles(value, std::move(of_samples), n);
}

// The mean over pairs of n things, of a symmetric [n, n]; the bootstrap draws things, and leaves out pairs of one with
// itself.
Estimate mean_over_pairs(const std::vector<float> &matrix, std::size_t n);

} // namespace theta
