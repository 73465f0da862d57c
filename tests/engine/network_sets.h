// Sets of networks from vectors, and back.
#pragma once
#include "engine/analysis/baselines.h"

namespace theta::test {

inline NetworkSet set_of(std::vector<float> theta, std::size_t count) {
  const std::size_t v = theta.size() / count;
  return {count, [theta = std::move(theta), v](std::size_t i, float *to) { std::copy_n(theta.data() + i * v, v, to); }};
}

inline std::vector<float> theta_of(const NetworkSet &set, std::size_t v) {
  std::vector<float> theta(set.count * v);
  for (std::size_t i = 0; i < set.count; ++i)
    set.network(i, theta.data() + i * v);
  return theta;
}

} // namespace theta::test
