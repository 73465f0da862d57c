// The noise schedule of a diffusion process of S steps (Ho et al. 2020): beta_t, alpha_bar_t = Π (1 − beta).
#pragma once
#include <vector>

namespace theta {

struct Schedule {
  std::vector<double> beta, alpha_bar;
  int steps() const { return int(beta.size()); }
};

// beta linear from `first` to `last`. Throws InputError unless steps >= 2 and 0 < first <= last < 1.
Schedule linear_schedule(int steps, double first, double last);

} // namespace theta
