// Paths of noise in time, on the host and in double: the levels (kernels/operations/diffusion.h) between data and pure
// noise, and the times at which solvers visit them.
#pragma once
#include "kernels/operations/diffusion.h"
#include <string_view>
#include <vector>

namespace theta {

NoiseSchedule noise_schedule_named(std::string_view name); // throws InputError
const char *name_of(NoiseSchedule);

class Path {
public:
  Path(NoiseSchedule schedule) : schedule_(schedule) {} // in continuous time
  // DDPM's chain of `steps` whole times (Ho et al., 2020): alpha_bar_t = Π (1 − beta_t), beta linear from `first` to
  // `last`. Throws InputError unless steps >= 2 and 0 < first <= last < 1.
  static Path chain(int steps, double first, double last);

  NoiseSchedule schedule() const { return schedule_; } // of no chain
  NoiseLevel<double> at(double t) const;
  bool is_straight() const { return alpha_bar_.empty() && theta::is_straight(schedule_); }
  double start() const; // the deviation of the noise that a solver begins with

  // The times of a solver of `steps` steps, from noise to data: even in t; for edm those of Karras et al. (2022, eq. 5:
  // rho 7, sigma from 80 to 0.002); of a chain, spread evenly from its last to its first. Throws InputError for more
  // steps than a chain has.
  std::vector<double> times(int steps) const;

  const std::vector<double> &alpha_bar() const { return alpha_bar_; } // of a chain, by time

private:
  NoiseSchedule schedule_;
  std::vector<double> alpha_bar_;
};

} // namespace theta
