#include "engine/diffusion/sampler.h"
#include "engine/training/lr_schedule.h"
#include "tests/check.h"

#include <numbers>

using namespace theta;
using namespace theta::test;

TEST_CASE("linear schedule agrees with numpy") {
  const Golden golden("diffusion_linear");
  const Schedule s = linear_schedule(1000, 1e-4, 2e-2);
  CHECK(relative_error(s.beta, golden.get<double>("beta")) <= 1e-10);
  CHECK(relative_error(s.alpha_bar, golden.get<double>("alpha_bar")) <= 1e-10);
  CHECK_THROWS_AS(linear_schedule(1, 1e-4, 2e-2), InputError);
  CHECK_THROWS_AS(linear_schedule(10, 0.1, 1.0), InputError);
}

TEST_CASE("DDPM steps agree with numpy's posterior mean and variance") {
  const Golden golden("diffusion_linear");
  const Schedule schedule = linear_schedule(1000, 1e-4, 2e-2);
  for (const int t : {0, 1, 400, 999}) {
    CAPTURE(t);
    const SamplerStep step = ddpm_step(schedule, t);
    const auto name = std::to_string(t);
    CHECK(step.update.sigma * step.update.sigma ==
          doctest::Approx(golden.get<double>("posterior_variance." + name)[0]).epsilon(1e-10));
    in_every_precision([&]<class T>(T, Stream &s) {
      const Buffer<T> z(s, golden.get<T>("x_t." + name)), eps(s, golden.get<T>("eps"));
      denoise_step<T>(s, z, eps, 3, 8, {step.update.from_z, step.update.from_eps, 0}, {1, Purpose::test});
      CHECK(relative_error(z.host(), golden.get<T>("posterior_mean." + name)) <= golden_tolerance<T>);
    });
  }
}

TEST_CASE("DDIM steps agree with numpy") {
  const Golden golden("diffusion_linear");
  const Schedule schedule = linear_schedule(1000, 1e-4, 2e-2);
  for (const auto &[from, to] : {std::pair{999, 799}, {400, 200}, {200, 0}}) {
    const auto name = std::to_string(from) + "_to_" + std::to_string(to);
    CAPTURE(name);
    const SamplerStep step = ddim_step(schedule, from, to, 0);
    CHECK(step.update.sigma == 0);
    in_every_precision([&]<class T>(T, Stream &s) {
      auto predicted = golden.get<T>("eps");
      for (T &e : predicted)
        e *= T(0.9);
      const Buffer<T> z(s, golden.get<T>("ddim_from." + name)), eps(s, predicted);
      denoise_step<T>(s, z, eps, 3, 8, step.update, {1, Purpose::test});
      CHECK(relative_error(z.host(), golden.get<T>("ddim." + name)) <= golden_tolerance<T>);
    });
  }
}

TEST_CASE("samplers: DDPM takes every time; DDIM spreads its own; with eta 1 neighbours have DDPM's variance") {
  const Schedule s = linear_schedule(50, 1e-3, 0.1);
  const auto ddpm = sampler_steps(s, SamplerKind::ddpm, 0, 0), ddim = sampler_steps(s, SamplerKind::ddim, 8, 0);
  CHECK(ddpm.size() == 50);
  CHECK(ddpm.front().t == 49);
  CHECK(ddpm.back().update.sigma == 0);
  std::vector<int> times;
  for (const auto &step : ddim)
    times.push_back(step.t);
  CHECK(times == std::vector<int>{49, 42, 35, 28, 21, 14, 7, 0});
  CHECK(ddim_step(s, 30, 29, 1).update.sigma == doctest::Approx(ddpm_step(s, 30).update.sigma).epsilon(1e-12));
  CHECK(ddim_step(s, 30, 29, 1).update.from_z == doctest::Approx(ddpm_step(s, 30).update.from_z).epsilon(1e-12));
  CHECK_THROWS_AS(sampler_steps(s, SamplerKind::ddim, 51, 0), InputError);
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
