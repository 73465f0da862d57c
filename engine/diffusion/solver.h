// Samplers on a path of noise (kernels/noising.h) as lists of updates of the form denoise_step has:
//   z = from_z·z + from_eps·prediction + sigma·N(0, 1)
// whatever the model's objective: a prediction gives x0 and eps, both linear in (z, prediction).
#pragma once
#include "kernels/diffusion.h"
#include "kernels/noising.h"
#include <string_view>
#include <vector>

namespace theta {

NoiseSchedule noise_schedule_named(std::string_view name); // throws InputError
const char *name_of(NoiseSchedule);
Objective objective_named(std::string_view name); // throws InputError
const char *name_of(Objective);

// ddim: straight to the next level (Song et al., 2021), on straight lines Euler's method; eta adds noise. ddpm: eta 1,
// the posterior of Ho et al. (2020). heun: the second-order method of Karras et al. (2022, alg. 1), in sigma where
// signal² + noise² = 1 and in t on straight lines; the last step is ddim's.
enum class SolverKind { heun, ddim, ddpm };
SolverKind solver_named(std::string_view name); // throws InputError
const char *name_of(SolverKind);

// How x0 and eps are read from a prediction at a level: x0 = x0_z·z + x0_p·prediction, eps alike. Throws InputError
// where the objective does not determine them: eps where there is no signal, x0 where there is no noise.
struct Reading {
  double x0_z, x0_p, eps_z, eps_p;
};
Reading reading_of(Objective, const NoiseLevel<double> &);

// One step: at time t, prediction = model(z, t).
//   where it is of first order:  z = first(z, prediction)
//   else, with z' = first(z, prediction) and prediction' = model(z', next_t):
//                                z = second(z, prediction), then corrected: += from_z·z' + from_eps·prediction'
struct SolverStep {
  double t;
  DenoiseStep first;
  bool heun = false;
  double next_t = 0;
  DenoiseStep second{}, corrected{};
};

// From pure noise to data in `steps` steps: times even in t, for edm those of Karras et al. (2022, eq. 5: rho 7, sigma
// from 80 to 0.002). Throws InputError where the objective cannot begin in pure noise (eps on straight lines).
struct Solver {
  double start; // the deviation of the noise that it begins with
  std::vector<SolverStep> steps;
};
Solver solver_of(SolverKind, NoiseSchedule, Objective, int steps, double eta);

} // namespace theta
