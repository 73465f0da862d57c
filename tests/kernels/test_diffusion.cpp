#include "kernels/operations/diffusion.h"
#include "tests/check.h"
#include <limits>

using namespace theta;
using namespace theta::test;

namespace {
constexpr NoiseSchedule schedules[] = {NoiseSchedule::logit_normal, NoiseSchedule::linear, NoiseSchedule::cosine,
                                       NoiseSchedule::edm, NoiseSchedule::uniform};
constexpr Objective objectives[] = {Objective::velocity, Objective::v, Objective::x0, Objective::eps};
} // namespace

TEST_CASE("noising: the quantile function is that of the normal distribution") {
  for (const double x : {-5.5, -3.0, -1.2, -0.3, 0.0, 0.1, 0.8, 2.5, 4.0}) {
    const double p = 0.5 * std::erfc(-x / std::sqrt(2.0));
    CHECK(normal_quantile(p) == doctest::Approx(x).epsilon(1e-6));
  }
}

TEST_CASE("noising: levels keep their promises along every path") {
  for (const NoiseSchedule schedule : schedules)
    for (int i = 0; i <= 100; ++i) {
      const double t = schedule == NoiseSchedule::edm ? -1.5 + 0.026 * i : i / 100.0;
      const auto level = level_at(schedule, t);
      CAPTURE(int(schedule));
      CAPTURE(t);
      if (is_straight(schedule)) {
        CHECK(level.signal + level.noise == doctest::Approx(1));
      } else {
        CHECK(level.signal * level.signal + level.noise * level.noise == doctest::Approx(1));
        CHECK(level.noise <= 160.001 * level.signal);
      }
    }
  // DDPM's own product of 1,000 steps, halfway; Nichol and Dhariwal's cosine at a third; EDM's sigma.
  double kept = 1;
  for (int t = 0; t < 500; ++t)
    kept *= 1 - (1e-4 + (2e-2 - 1e-4) * t / 999);
  CHECK(std::pow(level_at(NoiseSchedule::linear, 0.5).signal, 2) == doctest::Approx(kept).epsilon(0.01));
  const double angle = (1.0 / 3 + 0.008) / 1.008 * 1.5707963267948966, first = 0.008 / 1.008 * 1.5707963267948966;
  CHECK(level_at(NoiseSchedule::cosine, 1.0 / 3).signal == doctest::Approx(std::cos(angle) / std::cos(first)));
  const auto edm = level_at(NoiseSchedule::edm, std::log(3.0) / 4);
  CHECK(edm.noise / edm.signal == doctest::Approx(3));
}

TEST_CASE("noising: mixing, times and padding, on every device") {
  same_on_every_device(1e-5, [](Stream &s) {
    const int rows = 36, cols = 19;
    std::vector<std::int32_t> places(cols, 0);
    places[3] = -1; // padding
    const Buffer<float> x0(s, random_values<float>(rows * cols, 1)), eps(s, random_values<float>(rows * cols, 2)),
        start(s, random_values<float>(rows * cols, 3)), t(s, std::size_t(rows)), xt(s, std::size_t(rows * cols)),
        target(s, std::size_t(rows * cols));
    const Buffer<std::int32_t> place(s, places);
    Results results;
    for (const NoiseSchedule schedule : schedules) {
      draw_times<float>(s, t, rows, 4, schedule, {3, Purpose::diffusion_time, 5, 2});
      const auto times = t.host();
      std::vector<bool> met(static_cast<std::size_t>(rows)); // every stratum of the quantiles once
      for (int r = 0; r < rows; ++r) {
        double u = times[std::size_t(r)];
        if (schedule == NoiseSchedule::logit_normal)
          u = 0.5 * std::erfc(-std::log(u / (1 - u)) / std::sqrt(2.0));
        if (schedule == NoiseSchedule::edm)
          u = 0.5 * std::erfc(-(4 * u + 1.2) / 1.2 / std::sqrt(2.0));
        const auto stratum = std::size_t(u * rows);
        CHECK(stratum == std::size_t(r % 4 * 9 + r / 4));
        met[stratum] = true;
      }
      CHECK(std::count(met.begin(), met.end(), true) == rows);
      results.push_back(times);
      for (const Objective objective : objectives) {
        const bool residual = objective == Objective::x0;
        mix_noise<float>(s, xt, target, x0, eps, residual ? start.get() : nullptr, place, t, rows, cols, schedule,
                         objective);
        const auto mixed = xt.host(), wanted = target.host(), data = x0.host(), noise = eps.host(), from = start.host();
        for (int r = 0; r < rows; ++r) {
          const auto level = level_at<double>(schedule, times[std::size_t(r)]), share = target_of(objective, level);
          for (int c = 0; c < cols; ++c) {
            const auto i = std::size_t(r * cols + c);
            const double e = c == 3 ? 0 : noise[i];
            CHECK(mixed[i] == doctest::Approx(level.signal * data[i] + level.noise * e).epsilon(1e-4));
            CHECK(wanted[i] ==
                  doctest::Approx(share.signal * data[i] + share.noise * e - (residual ? from[i] : 0)).epsilon(1e-4));
          }
        }
        results.push_back(mixed), results.push_back(wanted);
      }
    }
    clear_padding<float>(s, xt, place, rows, cols);
    const auto cleared = xt.host();
    for (int r = 0; r < rows; ++r)
      CHECK(cleared[std::size_t(r * cols + 3)] == 0);
    results.push_back(cleared);
    const auto weights = random_values<float>(std::size_t(cols), 6);
    const Buffer<float> weight(s, weights);
    weigh_columns<float>(s, xt, weight, rows, cols);
    const auto weighed = xt.host();
    for (std::size_t i = 0; i < weighed.size(); ++i)
      CHECK(weighed[i] == cleared[i] * weights[i % std::size_t(cols)]);
    results.push_back(weighed);
    return results;
  });
}

TEST_CASE("noising: a table of levels at whole times, without padding, on every device; and in double") {
  const Golden golden("diffusion_linear");
  for (const int t : {0, 1, 400, 999})
    in_every_precision([&]<class T>(T, Stream &s) {
      const Buffer<T> x0(s, golden.get<T>("x0")), eps(s, golden.get<T>("eps")),
          alpha_bar(s, golden.get<T>("alpha_bar")), xt(s, x0.size()), times(s, std::vector<T>(3, T(t)));
      const NoisePath<T> path(alpha_bar.get(), 1000);
      mix_noise<T>(s, xt, eps, x0, eps, nullptr, nullptr, times, 3, 8, path, Objective::eps);
      CHECK(relative_error(xt.host(), golden.get<T>("x_t." + std::to_string(t))) <= golden_tolerance<T>);
      CHECK(relative_error(eps.host(), golden.get<T>("eps")) <= golden_tolerance<T>);
    });
  same_on_every_device(0, [](Stream &s) {
    const Buffer<float> alpha_bar(s, std::size_t(1000)), t(s, std::size_t(501));
    draw_times<float>(s, t, 501, 1, NoisePath<float>(alpha_bar.get(), 1000), {99, Purpose::test, 5, 11});
    const auto times = t.host();
    CHECK(*std::min_element(times.begin(), times.end()) < 10);
    CHECK(*std::max_element(times.begin(), times.end()) > 989);
    for (const float time : times)
      CHECK((time >= 0 && time < 1000 && time == std::floor(time)));
    CHECK(times[3] == whole_time({99, Purpose::test, 5, 11}, 3, 1000));
    return Results{times};
  });
}

TEST_CASE("denoising steps: every device, with and without noise") {
  for (const double sigma : {0.0, 0.3})
    same_on_every_device(1e-6, [&](Stream &s) {
      const auto before = random_values<float>(3 * 21, 1), eps_host = random_values<float>(3 * 21, 2);
      const Buffer<float> z(s, before), eps(s, eps_host);
      denoise_step<float>(s, z, eps, 3, 21, {1.1, -0.2, sigma}, {8, Purpose::sample_noise, 40, 63});
      const double noise = sigma * normal(8, Purpose::sample_noise, 42, 63 + 5);
      CHECK(z.host()[47] == doctest::Approx(1.1 * before[47] - 0.2 * eps_host[47] + noise).epsilon(1e-5));
      return Results{z.host()};
    });
}
