#include "kernels/operations/features.h"
#include "tests/check.h"
#include <limits>

using namespace theta;
using namespace theta::test;

TEST_CASE("features: labels, places and what is not told, on every device") {
  same_on_every_device(1e-6, [](Stream &s) {
    const int rows = 36, width = 14;
    std::vector<float> labels;
    for (int r = 0; r < rows; ++r)
      labels.push_back(r % 5 == 4 ? std::numeric_limits<float>::quiet_NaN() : float(r % 5));
    const Buffer<float> label(s, labels), hot(s, std::size_t(rows * 4)), untold(s, std::size_t(rows * width)),
        places(s, std::size_t(9 * 7));
    label_features<float>(s, hot, label, rows, 4);
    number_features<float>(s, untold, label, rows, width);
    whole_number_features<float>(s, places, nullptr, 9, 7);
    const auto hots = hot.host(), numbers = untold.host(), positions = places.host();
    for (int r = 0; r < rows; ++r)
      for (int c = 0; c < 4; ++c)
        CHECK(hots[std::size_t(r * 4 + c)] == (r % 5 == c ? 1 : 0));
    for (int c = 0; c < width; ++c)
      CHECK(numbers[std::size_t(4 * width + c)] == 0); // NaN: not told
    CHECK(positions[7] == doctest::Approx(std::sin(1.0)));
    CHECK(positions[7 + 4] == doctest::Approx(std::cos(std::pow(1e4, -1.0 / 3))));
    CHECK(positions[6] == 0);
    return Results{hots, positions};
  });
}

TEST_CASE("features: whole numbers on every device, and by their definition") {
  same_on_every_device(1e-6, [&](Stream &s) {
    const Buffer<float> t(s, std::vector<float>{0, 1, 17, 999, 500}), out(s, std::size_t(5 * 10));
    whole_number_features<float>(s, out, t, 5, 10);
    const auto e = out.host();
    CHECK(e[0] == 0);
    CHECK(e[5] == 1);
    CHECK(e[30 + 2] == doctest::Approx(std::sin(999 * std::pow(10000.0, -0.4))).epsilon(1e-6));
    CHECK(e[30 + 7] == doctest::Approx(std::cos(999 * std::pow(10000.0, -0.4))).epsilon(1e-6));
    return Results{e};
  });
}

TEST_CASE("features: given numbers, on every device") {
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
