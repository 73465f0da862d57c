#include "solver.h"
#include "kernels/names.h"
#include <cmath>

namespace theta {

namespace {

constexpr std::array schedule_names{"logit-normal", "linear", "cosine", "edm"};
constexpr std::array objective_names{"velocity", "v", "x0", "eps"};
constexpr std::array solver_names{"heun", "ddim", "ddpm"};

std::vector<double> times(NoiseSchedule schedule, int steps) {
  std::vector<double> all;
  for (int i = 0; i < steps; ++i) {
    if (schedule == NoiseSchedule::edm) {
      const double root = 1.0 / 7, most = std::pow(80, root), least = std::pow(0.002, root);
      const double sigma = std::pow(most + (steps > 1 ? double(i) / (steps - 1) : 0) * (least - most), 7);
      all.push_back(std::log(sigma) / 4);
    } else {
      all.push_back(1 - double(i) / steps);
    }
  }
  return all;
}

DenoiseStep ddim(const NoiseLevel<double> &from, const NoiseLevel<double> &to, const Reading &r, double eta) {
  const double ratio = from.signal / to.signal;
  const double variance =
      from.noise * from.noise - ratio * ratio * to.noise * to.noise; // of `from` given `to` (Ho et al., eq. 4)
  const double sigma = eta * to.noise / from.noise * std::sqrt(std::max(0.0, variance));
  const double direction = std::sqrt(std::max(0.0, to.noise * to.noise - sigma * sigma));
  return {to.signal * r.x0_z + direction * r.eps_z, to.signal * r.x0_p + direction * r.eps_p, sigma};
}

// dz along the path, in the variable that Heun's method is to be straight in, from a prediction.
DenoiseStep slope(bool straight, const Reading &r) {
  return straight ? DenoiseStep{r.eps_z - r.x0_z, r.eps_p - r.x0_p, 0} : DenoiseStep{r.eps_z, r.eps_p, 0};
}

} // namespace

NoiseSchedule noise_schedule_named(std::string_view name) {
  return value_named<NoiseSchedule>(name, schedule_names, "noise");
}
const char *name_of(NoiseSchedule schedule) { return schedule_names[std::size_t(schedule)]; }
Objective objective_named(std::string_view name) { return value_named<Objective>(name, objective_names, "objective"); }
const char *name_of(Objective objective) { return objective_names[std::size_t(objective)]; }
SolverKind solver_named(std::string_view name) { return value_named<SolverKind>(name, solver_names, "solver"); }
const char *name_of(SolverKind kind) { return solver_names[std::size_t(kind)]; }

// z = signal·x0 + noise·eps and prediction = target.signal·x0 + target.noise·eps, solved for x0 and eps.
Reading reading_of(Objective objective, const NoiseLevel<double> &level) {
  const auto target = target_of(objective, level);
  const double determinant = level.signal * target.noise - level.noise * target.signal;
  if (std::abs(determinant) < 1e-9)
    throw InputError("sampler: found the objective ", name_of(objective), " at signal ", level.signal, " and noise ",
                     level.noise, ", expected one that determines x0 there");
  return {target.noise / determinant, -level.noise / determinant, -target.signal / determinant,
          level.signal / determinant};
}

Solver solver_of(SolverKind kind, NoiseSchedule schedule, Objective objective, int steps, double eta) {
  const bool straight = schedule == NoiseSchedule::logit_normal;
  const auto all = times(schedule, steps);
  Solver solver{level_at(schedule, all.front()).noise, {}};
  for (int i = 0; i < steps; ++i) {
    const bool last = i + 1 == steps;
    const double t = all[std::size_t(i)];
    const auto from = level_at(schedule, t);
    const auto to = last ? NoiseLevel<double>{1, 0} : level_at(schedule, all[std::size_t(i + 1)]);
    const Reading reading = reading_of(objective, from);
    SolverStep step{t, ddim(from, to, reading, kind == SolverKind::ddpm ? 1 : kind == SolverKind::ddim ? eta : 0)};
    if (kind == SolverKind::heun && !last) {
      // z = keep·z + along·(slope + slope')/2
      const double keep = straight ? 1 : to.signal / from.signal;
      const double along = straight ? all[std::size_t(i + 1)] - t : to.noise - to.signal * from.noise / from.signal;
      const auto here = slope(straight, reading), there = slope(straight, reading_of(objective, to));
      step.heun = true, step.next_t = all[std::size_t(i + 1)];
      step.second = {keep + along / 2 * here.from_z, along / 2 * here.from_eps, 0};
      step.corrected = {along / 2 * there.from_z, along / 2 * there.from_eps, 0};
    }
    solver.steps.push_back(step);
  }
  return solver;
}

} // namespace theta
