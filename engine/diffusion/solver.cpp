#include "solver.h"
#include "kernels/device/names.h"
#include <cmath>

namespace theta {

namespace {

constexpr std::array objective_names{"velocity", "v", "x0", "eps"};
constexpr std::array solver_names{"heun", "ddim", "ddpm"};

// dz along the path, in the variable that Heun's method is to be straight in, from a prediction.
DenoiseStep slope(bool straight, const Reading &r) {
  return straight ? DenoiseStep{r.eps_z - r.x0_z, r.eps_p - r.x0_p, 0} : DenoiseStep{r.eps_z, r.eps_p, 0};
}

} // namespace

Objective objective_named(std::string_view name) { return value_named<Objective>(name, objective_names, "objective"); }
const char *name_of(Objective objective) { return objective_names[std::size_t(objective)]; }
SolverKind solver_named(std::string_view name) { return value_named<SolverKind>(name, solver_names, "solver"); }
const char *name_of(SolverKind kind) { return solver_names[std::size_t(kind)]; }

// z = signal·x0 + noise·eps and prediction = target.signal·x0 + target.noise·eps, solved for x0 and eps.
Reading reading_of(Objective objective, const NoiseLevel<double> &level) {
  const auto target = target_of(objective, level);
  const double determinant = level.signal * target.noise - level.noise * target.signal;
  if (std::abs(determinant) < 1e-9)
    throw InputError("solver: found the objective ", name_of(objective), " at signal ", level.signal, " and noise ",
                     level.noise, ", expected one that determines x0 there");
  return {target.noise / determinant, -level.noise / determinant, -target.signal / determinant,
          level.signal / determinant};
}

DenoiseStep ddim_step(const NoiseLevel<double> &from, const NoiseLevel<double> &to, Objective objective, double eta) {
  const Reading r = reading_of(objective, from);
  const double ratio = from.signal / to.signal;
  const double variance =
      from.noise * from.noise - ratio * ratio * to.noise * to.noise; // of `from` given `to` (Ho et al., eq. 4)
  const double sigma = eta * to.noise / from.noise * std::sqrt(std::max(0.0, variance));
  const double direction = std::sqrt(std::max(0.0, to.noise * to.noise - sigma * sigma));
  return {to.signal * r.x0_z + direction * r.eps_z, to.signal * r.x0_p + direction * r.eps_p, sigma};
}

Solver solver_of(SolverKind kind, const Path &path, Objective objective, int steps, double eta) {
  const bool straight = path.is_straight();
  const auto all = path.times(steps);
  Solver solver{path.start(), {}};
  for (int i = 0; i < steps; ++i) {
    const bool last = i + 1 == steps;
    const double t = all[std::size_t(i)];
    const auto from = path.at(t);
    const auto to = last ? NoiseLevel<double>{1, 0} : path.at(all[std::size_t(i + 1)]);
    SolverStep step{t, ddim_step(from, to, objective,
                                 kind == SolverKind::ddpm   ? 1
                                 : kind == SolverKind::ddim ? eta
                                                            : 0)};
    if (kind == SolverKind::heun && !last) {
      // z = keep·z + along·(slope + slope')/2
      const double keep = straight ? 1 : to.signal / from.signal;
      const double along = straight ? all[std::size_t(i + 1)] - t : to.noise - to.signal * from.noise / from.signal;
      const auto here = slope(straight, reading_of(objective, from)),
                 there = slope(straight, reading_of(objective, to));
      step.heun = true, step.next_t = all[std::size_t(i + 1)];
      step.second = {keep + along / 2 * here.from_z, along / 2 * here.from_eps, 0};
      step.corrected = {along / 2 * there.from_z, along / 2 * there.from_eps, 0};
    }
    solver.steps.push_back(step);
  }
  return solver;
}

} // namespace theta
