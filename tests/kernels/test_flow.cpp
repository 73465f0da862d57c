#include "kernels/flow.h"
#include "tests/check.h"

using namespace theta;
using namespace theta::test;

TEST_CASE("flow: mixing, times, features and rows, on every device") {
  same_on_every_device(1e-5, [](Stream &s) {
    const int rows = 37, cols = 19, width = 14;
    const Buffer<float> x0(s, random_values<float>(rows * cols, 1)), eps(s, random_values<float>(rows * cols, 2)),
        t(s, std::size_t(rows)), xt(s, std::size_t(rows * cols)), v(s, std::size_t(rows * cols)),
        features(s, std::size_t(rows * width)), placed(s, std::vector<float>(std::size_t(rows * 31)));
    draw_times<float>(s, t, rows, {3, Purpose::diffusion_time, 5, 2});
    flow_mix<float>(s, xt, v, x0, eps, t, rows, cols);
    time_features<float>(s, features, t, rows, width);
    copy_rows<float>(s, placed.get() + 7, 31, x0, cols, rows, cols);
    const auto times = t.host(), mixed = xt.host(), velocity = v.host(), data = x0.host(), noise = eps.host(),
               there = placed.host();
    double mean = 0;
    for (int r = 0; r < rows; ++r) {
      CHECK((times[std::size_t(r)] > 0 && times[std::size_t(r)] < 1));
      mean += times[std::size_t(r)] / rows;
      CHECK(features.host()[std::size_t(r * width)] == doctest::Approx(std::sin(times[std::size_t(r)])));
      CHECK(features.host()[std::size_t(r * width + width - 1)] ==
            doctest::Approx(std::cos(1000.0 * double(times[std::size_t(r)]))).epsilon(1e-3));
      for (int c = 0; c < cols; ++c) {
        const auto i = std::size_t(r * cols + c);
        CHECK(mixed[i] == doctest::Approx((1 - times[std::size_t(r)]) * data[i] + times[std::size_t(r)] * noise[i]));
        CHECK(velocity[i] == noise[i] - data[i]);
        CHECK(there[std::size_t(r * 31 + 7 + c)] == data[i]);
      }
      CHECK(there[std::size_t(r * 31 + 6)] == 0);
    }
    CHECK(mean == doctest::Approx(0.5).epsilon(0.2)); // 0.21/√37 is one standard deviation
    return Results{times, mixed, velocity};
  });
}

TEST_CASE("flow: features of given times on every device") {
  // Angles up to 1000 radians are off by some roundings of 2^-24 each.
  same_on_every_device(5e-4, [](Stream &s) {
    const int rows = 21, width = 64;
    std::vector<float> times;
    for (int r = 0; r < rows; ++r)
      times.push_back(float(r) / float(rows - 1));
    const Buffer<float> t(s, times), features(s, std::size_t(rows * width));
    time_features<float>(s, features, t, rows, width);
    return Results{features.host()};
  });
}
