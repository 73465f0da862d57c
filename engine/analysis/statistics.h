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

} // namespace theta
