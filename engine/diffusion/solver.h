// Solvers on a path of noise as lists of updates of the form denoise_step has:
//   z = from_z·z + from_eps·prediction + sigma·N(0, 1)
// whatever the model's objective: a prediction gives x0 and eps, both linear in (z, prediction).
#pragma once
#include "path.h"
#include <string_view>
#include <vector>

namespace theta {

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

// From one level to another by DDIM (Song et al., 2021, eq. 12), with eta of DDPM's noise.
DenoiseStep ddim_step(const NoiseLevel<double> &from, const NoiseLevel<double> &to, Objective, double eta);

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

// From pure noise to data in `steps` steps, at the path's times for so many. Throws InputError where the objective
// cannot begin in pure noise (eps on straight lines).
struct Solver {
  double start; // the deviation of the noise that it begins with
  std::vector<SolverStep> steps;
};
Solver solver_of(SolverKind, const Path &, Objective, int steps, double eta);

} // namespace theta
