#include "kernels/noising.h"
#include "tests/check.h"
#include <limits>

using namespace theta;
using namespace theta::test;

namespace {
constexpr NoiseSchedule schedules[] = {NoiseSchedule::logit_normal, NoiseSchedule::linear, NoiseSchedule::cosine,
                                       NoiseSchedule::edm};
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
      if (schedule == NoiseSchedule::logit_normal) {
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

TEST_CASE("noising: mixing, times, features and rows, on every device") {
  same_on_every_device(1e-5, [](Stream &s) {
    const int rows = 36, cols = 19, width = 14;
    std::vector<std::int32_t> places(cols, 0);
    places[3] = -1; // padding
    std::vector<float> labels;
    for (int r = 0; r < rows; ++r)
      labels.push_back(r % 5 == 4 ? std::numeric_limits<float>::quiet_NaN() : float(r % 5));
    const Buffer<float> x0(s, random_values<float>(rows * cols, 1)), eps(s, random_values<float>(rows * cols, 2)),
        start(s, random_values<float>(rows * cols, 3)), t(s, std::size_t(rows)), label(s, labels),
        xt(s, std::size_t(rows * cols)), target(s, std::size_t(rows * cols)), features(s, std::size_t(rows * width)),
        hot(s, std::size_t(rows * 4)), untold(s, std::size_t(rows * width)), place_rows(s, std::size_t(9 * 7)),
        placed(s, std::vector<float>(std::size_t(rows * 31)));
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
    label_features<float>(s, hot, label, rows, 4);
    number_features<float>(s, untold, label, rows, width);
    place_features<float>(s, place_rows, 9, 7);
    clear_padding<float>(s, xt, place, rows, cols);
    copy_rows<float>(s, placed.get() + 7, 31, x0, cols, rows, cols);
    const auto hots = hot.host(), numbers = untold.host(), positions = place_rows.host(), cleared = xt.host(),
               there = placed.host();
    for (int r = 0; r < rows; ++r) {
      for (int c = 0; c < 4; ++c)
        CHECK(hots[std::size_t(r * 4 + c)] == (r % 5 == c ? 1 : 0));
      CHECK(cleared[std::size_t(r * cols + 3)] == 0);
      CHECK(there[std::size_t(r * 31 + 7 + cols - 1)] == x0.host()[std::size_t(r * cols + cols - 1)]);
      CHECK(there[std::size_t(r * 31 + 6)] == 0);
    }
    for (int c = 0; c < width; ++c)
      CHECK(numbers[std::size_t(4 * width + c)] == 0); // NaN: not told
    CHECK(positions[7] == doctest::Approx(std::sin(1.0)));
    CHECK(positions[7 + 4] == doctest::Approx(std::cos(std::pow(1e4, -1.0 / 3))));
    CHECK(positions[6] == 0);
    results.push_back(hots), results.push_back(positions), results.push_back(cleared);
    return results;
  });
}

TEST_CASE("noising: features of given numbers on every device") {
  // Angles up to 1000 radians are off by some roundings of 2^-24 each.
  same_on_every_device(5e-4, [](Stream &s) {
    const int rows = 21, width = 64;
    std::vector<float> numbers;
    for (int r = 0; r < rows; ++r)
      numbers.push_back(float(r) / float(rows - 1));
    const Buffer<float> t(s, numbers), features(s, std::size_t(rows * width));
    number_features<float>(s, features, t, rows, width);
    const auto made = features.host();
    CHECK(made[std::size_t(10 * width)] == doctest::Approx(std::sin(0.5)));
    CHECK(made[std::size_t(10 * width + width - 1)] == doctest::Approx(std::cos(500.0)).epsilon(1e-3));
    return Results{made};
  });
}
