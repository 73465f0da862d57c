#include "kernels/modulate.h"
#include "tests/check.h"

using namespace theta;
using namespace theta::test;

TEST_CASE("modulate and gate: every device, odd sizes; forward by its definition") {
  for (const Modulation p : {Modulation{1, 1, 1, 1}, Modulation{2, 9, 24, 144}, Modulation{3, 17, 67, 70}})
    same_on_every_device(1e-5, [&](Stream &s) {
      const std::size_t n = std::size_t(p.rows()) * p.width, rows = std::size_t(p.rows()),
                        m = std::size_t(p.batch) * p.step;
      const Buffer<float> x(s, random_values<float>(n, 1)), shift(s, random_values<float>(m, 2)),
          scale(s, random_values<float>(m, 3)), gate(s, random_values<float>(m, 4)), dy(s, random_values<float>(n, 5)),
          y(s, n), mean(s, rows), rstd(s, rows), dx(s, random_values<float>(n, 6)), out(s, n), d(s, n);
      const Buffer<float> dshift(s, std::vector<float>(m)), dscale(s, std::vector<float>(m)),
          dgate(s, std::vector<float>(m));
      modulate_forward<float>(s, y, mean, rstd, x, shift, scale, p);
      gate_forward<float>(s, out, x, y, gate, p);
      gate_backward<float>(s, d, dgate, dy, y, gate, p);
      modulate_backward_accumulate<float>(s, dx, dshift, dscale, d, x, mean, rstd, scale, p);
      const auto values = x.host(), made = y.host(), sum = out.host();
      for (std::size_t r = 0; r < rows; r += 5) { // by the formula
        double average = 0, variance = 0;
        for (int c = 0; c < p.width; ++c)
          average += values[r * std::size_t(p.width) + std::size_t(c)] / double(p.width);
        for (int c = 0; c < p.width; ++c)
          variance += std::pow(values[r * std::size_t(p.width) + std::size_t(c)] - average, 2) / p.width;
        const std::size_t b = r / std::size_t(p.tokens) * p.step;
        for (int c = 0; c < p.width; ++c) {
          const std::size_t i = r * std::size_t(p.width) + std::size_t(c);
          const double expected =
              (values[i] - average) / std::sqrt(variance + p.eps) * (1 + scale.host()[b + std::size_t(c)]) +
              shift.host()[b + std::size_t(c)];
          CHECK(made[i] == doctest::Approx(expected).epsilon(1e-4));
          CHECK(sum[i] == doctest::Approx(values[i] + gate.host()[b + std::size_t(c)] * made[i]).epsilon(1e-5));
        }
      }
      return Results{made, sum, d.host(), dx.host(), dshift.host(), dscale.host(), dgate.host(), mean.host()};
    });
}
