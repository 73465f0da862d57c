#include "kernels/operations/dropout.h"
#include "tests/check.h"

using namespace theta;
using namespace theta::test;

TEST_CASE("dropout: a share is left out, the rest made up for, by place alone, on every device") {
  const int rows = 40, cols = 101;
  const std::size_t n = std::size_t(rows * cols);
  for (const double rate : {0.0, 0.1, 0.75}) {
    const Draws draws{7, Purpose::dropout, 3, 5};
    same_on_every_device(1e-6, [&](Stream &s) {
      const Buffer<float> x(s, std::vector<float>(n, 2.0f)), y(s, n);
      dropout<float>(s, y, x, rows, std::size_t(cols), rate, draws);
      const auto out = y.host();
      std::size_t left_out = 0;
      for (const float value : out) {
        CHECK((value == 0 || value == doctest::Approx(2 / (1 - rate))));
        left_out += value == 0;
      }
      // Of 4,040, within four deviations.
      CHECK(std::abs(double(left_out) - rate * double(n)) <= 4 * std::sqrt(rate * (1 - rate) * double(n)));
      return Results{out};
    });
    // A part of it is the same part: row 2 from element 9 on, in place, in double.
    Stream s{Device{}};
    const Buffer<double> whole(s, std::vector<double>(n, 1.0)), part(s, std::vector<double>(11, 1.0));
    dropout<double>(s, whole, whole, rows, std::size_t(cols), rate, draws);
    dropout<double>(s, part, part, 1, 11, rate, {7, Purpose::dropout, 5, 14});
    const auto all = whole.host();
    CHECK(part.host() == std::vector<double>(all.begin() + 2 * cols + 9, all.begin() + 2 * cols + 20));
  }
}
