#include "engine/diffusion/solver.h"
#include "engine/training/lr_schedule.h"
#include "tests/check.h"

#include <numbers>

using namespace theta;
using namespace theta::test;

TEST_CASE("a chain's levels agree with numpy") {
  const Golden golden("diffusion_linear");
  const Path chain = Path::chain(1000, 1e-4, 2e-2);
  CHECK(relative_error(chain.alpha_bar(), golden.get<double>("alpha_bar")) <= 1e-10);
  CHECK(chain.at(400).signal == doctest::Approx(std::sqrt(golden.get<double>("alpha_bar")[400])));
  CHECK_THROWS_AS(Path::chain(1, 1e-4, 2e-2), InputError);
  CHECK_THROWS_AS(Path::chain(10, 0.1, 1.0), InputError);
}

TEST_CASE("DDPM steps of a chain agree with numpy's posterior mean and variance") {
  const Golden golden("diffusion_linear");
  const Solver solver = solver_of(SolverKind::ddpm, Path::chain(1000, 1e-4, 2e-2), Objective::eps, 1000, 0);
  CHECK(solver.start == 1);
  for (const int t : {0, 1, 400, 999}) {
    CAPTURE(t);
    const SolverStep &step = solver.steps[std::size_t(999 - t)];
    CHECK(step.t == t);
    const auto name = std::to_string(t);
    CHECK(step.first.sigma * step.first.sigma ==
          doctest::Approx(golden.get<double>("posterior_variance." + name)[0]).epsilon(1e-10));
    in_every_precision([&]<class T>(T, Stream &s) {
      const Buffer<T> z(s, golden.get<T>("x_t." + name)), eps(s, golden.get<T>("eps"));
      denoise_step<T>(s, z, eps, 3, 8, {step.first.from_z, step.first.from_eps, 0}, {1, Purpose::test});
      CHECK(relative_error(z.host(), golden.get<T>("posterior_mean." + name)) <= golden_tolerance<T>);
    });
  }
}

TEST_CASE("DDIM steps of a chain agree with numpy") {
  const Golden golden("diffusion_linear");
  const Path chain = Path::chain(1000, 1e-4, 2e-2);
  for (const auto &[from, to] : {std::pair{999, 799}, {400, 200}, {200, 0}}) {
    const auto name = std::to_string(from) + "_to_" + std::to_string(to);
    CAPTURE(name);
    const DenoiseStep step = ddim_step(chain.at(from), chain.at(to), Objective::eps, 0);
    CHECK(step.sigma == 0);
    in_every_precision([&]<class T>(T, Stream &s) {
      auto predicted = golden.get<T>("eps");
      for (T &e : predicted)
        e *= T(0.9);
      const Buffer<T> z(s, golden.get<T>("ddim_from." + name)), eps(s, predicted);
      denoise_step<T>(s, z, eps, 3, 8, step, {1, Purpose::test});
      CHECK(relative_error(z.host(), golden.get<T>("ddim." + name)) <= golden_tolerance<T>);
    });
  }
}

TEST_CASE("chains: DDPM takes every time; DDIM spreads its own; with eta 1 neighbours have DDPM's variance") {
  const Path chain = Path::chain(50, 1e-3, 0.1);
  const auto ddpm = solver_of(SolverKind::ddpm, chain, Objective::eps, 50, 0).steps;
  const auto ddim = solver_of(SolverKind::ddim, chain, Objective::eps, 8, 0).steps;
  CHECK(ddpm.size() == 50);
  CHECK(ddpm.front().t == 49);
  CHECK(ddpm.back().first.sigma == 0);
  std::vector<double> times;
  for (const auto &step : ddim)
    times.push_back(step.t);
  CHECK(times == std::vector<double>{49, 42, 35, 28, 21, 14, 7, 0});
  // The posterior of Ho et al. (2020, eq. 6-7) at t = 30, from beta.
  const double beta = 1e-3 + (0.1 - 1e-3) * 30 / 49, kept = chain.alpha_bar()[30], before = chain.alpha_bar()[29];
  CHECK(ddpm[19].t == 30);
  CHECK(ddpm[19].first.sigma == doctest::Approx(std::sqrt(beta * (1 - before) / (1 - kept))).epsilon(1e-12));
  CHECK(ddpm[19].first.from_z == doctest::Approx(1 / std::sqrt(1 - beta)).epsilon(1e-12));
  CHECK_THROWS_AS(solver_of(SolverKind::ddim, chain, Objective::eps, 51, 0), InputError);
}

TEST_CASE("cosine learning rate agrees with PyTorch; step and constant by definition") {
  const Golden golden("lr_cosine");
  std::vector<double> lr;
  for (long i = 0; i < 50; ++i)
    lr.push_back(0.1 * LrSchedule{LrKind::cosine, 50}.at(i));
  CHECK(relative_error(lr, golden.get<double>("lr")) <= 1e-10);
  const LrSchedule step{LrKind::step, 100, 30, 0.5};
  CHECK(step.at(29) == 1);
  CHECK(step.at(30) == 0.5);
  CHECK(step.at(99) == 0.125);
  CHECK(LrSchedule{}.at(77) == 1);
}

TEST_CASE("warm-up rises in a line; one cycle has the ends and the top of PyTorch's OneCycleLR") {
  LrSchedule s{.kind = LrKind::cosine, .steps = 60, .warmup = 10};
  CHECK(s.at(0) == doctest::Approx(0.1));
  CHECK(s.at(9) == 1);
  CHECK(s.at(10) == 1);
  CHECK(s.at(35) == doctest::Approx(0.5)); // halfway through what is left
  s = {.kind = LrKind::one_cycle, .steps = 100};
  CHECK(s.at(0) == doctest::Approx(1 / 25.0));
  CHECK(s.at(29) == doctest::Approx(1)); // 0.3·100 − 1
  CHECK(s.at(99) == doctest::Approx(1 / 250000.0));
  CHECK(s.at(64) == doctest::Approx((1 + 1 / 250000.0) / 2)); // halfway down: (29 + 99)/2
  CHECK(s.at(10) == doctest::Approx(0.04 + 0.96 * 0.5 * (1 - std::cos(std::numbers::pi * 10 / 29))));
  for (const long steps : {1, 2, 3, 4, 5}) // too short for a rise
    for (long i = 0; i < steps; ++i)
      CHECK(std::isfinite(LrSchedule{.kind = LrKind::one_cycle, .steps = steps}.at(i)));
}

namespace {

// What an exact model says of z at time t, for data that are all `data`, or normal with deviation `data` around 0: the
// expected target. Then x0 given z is known, and eps with it.
double exact(double z, double t, NoiseSchedule schedule, Objective objective, double data, bool normal) {
  const auto level = level_at(schedule, t);
  const auto share = target_of(objective, level);
  const double variance = data * data;
  const double x0 =
      normal ? level.signal * variance * z / (level.signal * level.signal * variance + level.noise * level.noise)
             : data;
  const double eps = level.noise > 0 ? (z - level.signal * x0) / level.noise : 0;
  return share.signal * x0 + share.noise * eps;
}

double solve(const Solver &solver, double z, NoiseSchedule schedule, Objective objective, double data, bool normal) {
  for (const SolverStep &step : solver.steps) {
    const double prediction = exact(z, step.t, schedule, objective, data, normal);
    const double next = step.first.from_z * z + step.first.from_eps * prediction;
    if (!step.heun) {
      z = next;
      continue;
    }
    const double then = exact(next, step.next_t, schedule, objective, data, normal);
    z = step.second.from_z * z + step.second.from_eps * prediction + step.corrected.from_z * next +
        step.corrected.from_eps * then;
  }
  return z;
}

constexpr NoiseSchedule paths[] = {NoiseSchedule::logit_normal, NoiseSchedule::linear, NoiseSchedule::cosine,
                                   NoiseSchedule::edm, NoiseSchedule::uniform};

} // namespace

TEST_CASE("solvers: an exact model of one point is followed to it, whatever the path and objective") {
  for (const auto schedule : paths)
    for (const auto objective : {Objective::velocity, Objective::v, Objective::x0, Objective::eps}) {
      if (is_straight(schedule) && objective == Objective::eps) {
        CHECK_THROWS_AS(solver_of(SolverKind::ddim, schedule, objective, 10, 0), InputError);
        continue;
      }
      CAPTURE(int(schedule));
      CAPTURE(int(objective));
      for (const auto kind : {SolverKind::ddim, SolverKind::heun})
        CHECK(solve(solver_of(kind, schedule, objective, 20, 0), 1.3, schedule, objective, 0.7, false) ==
              doctest::Approx(0.7).epsilon(1e-9));
    }
}

TEST_CASE("solvers: normal data come out with their deviation; Heun's error falls as the square of the step") {
  // The flow carries z ~ N(0, start²) to N(0, data²) by a factor: its error is that of the solver.
  for (const auto schedule : paths) {
    CAPTURE(int(schedule));
    const auto error = [&](SolverKind kind, int steps) {
      const Solver solver = solver_of(kind, schedule, Objective::x0, steps, 0);
      const auto level = level_at(schedule, solver.steps.front().t);
      const double data = 0.6, begin = std::sqrt(std::pow(level.signal * data, 2) + std::pow(level.noise, 2));
      return std::abs(solve(solver, begin, schedule, Objective::x0, data, true) - data);
    };
    CHECK(error(SolverKind::heun, 160) < 2e-3);
    CHECK(error(SolverKind::heun, 160) < 0.5 * error(SolverKind::ddim, 160));
    CHECK(error(SolverKind::ddim, 160) < 0.7 * error(SolverKind::ddim, 80)); // first order
    if (is_straight(schedule))
      CHECK(error(SolverKind::heun, 80) < 0.3 * error(SolverKind::heun, 40)); // second order
  }
}

TEST_CASE("solvers: DDPM's step is the posterior between its levels; on straight lines DDIM's is Euler's") {
  const auto solver = solver_of(SolverKind::ddpm, NoiseSchedule::linear, Objective::eps, 1000, 0);
  const SolverStep &step = solver.steps[600]; // from t = 0.4 to 0.399
  const auto here = level_at(NoiseSchedule::linear, step.t), next = level_at(NoiseSchedule::linear, 0.399);
  const double alpha = std::pow(here.signal / next.signal, 2), beta = 1 - alpha;
  CHECK(step.first.from_z == doctest::Approx(1 / std::sqrt(alpha)).epsilon(1e-9)); // Ho et al., eq. 11
  CHECK(step.first.from_eps == doctest::Approx(-beta / std::sqrt(alpha) / here.noise).epsilon(1e-6));
  CHECK(step.first.sigma * step.first.sigma ==
        doctest::Approx(beta * std::pow(next.noise / here.noise, 2)).epsilon(1e-9)); // eq. 7
  const auto euler = solver_of(SolverKind::ddim, NoiseSchedule::logit_normal, Objective::velocity, 8, 0);
  for (const SolverStep &at : euler.steps) {
    CHECK(at.first.from_z == doctest::Approx(1));
    CHECK(at.first.from_eps == doctest::Approx(-1.0 / 8));
    CHECK(at.first.sigma == 0);
  }
  // Karras's times: from 80 to 0.002.
  const auto edm = solver_of(SolverKind::heun, NoiseSchedule::edm, Objective::v, 18, 0);
  CHECK(std::exp(4 * edm.steps.front().t) == doctest::Approx(80));
  CHECK(std::exp(4 * edm.steps.back().t) == doctest::Approx(0.002));
}
