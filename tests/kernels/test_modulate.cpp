#include "kernels/operations/modulate.h"
#include "tests/check.h"
#include "tests/engine/bound.h"

using namespace theta;
using namespace theta::test;

namespace {

// All four, one after the other; forward also by its definition. `unit`: relative error of what is stored as T.
template <class T> Results results(Stream &s, const Modulation &p, double unit) {
  const std::size_t n = std::size_t(p.rows()) * p.width, rows = std::size_t(p.rows()),
                    m = std::size_t(p.batch) * p.step;
  const Buffer<float> x(s, random_values<float>(n, 1)), shift(s, random_values<float>(m, 2)),
      scale(s, random_values<float>(m, 3)), gate(s, random_values<float>(m, 4)), dout(s, random_values<float>(n, 5)),
      mean(s, rows), rstd(s, rows), dx(s, random_values<float>(n, 6)), out(s, n);
  const Buffer<T> y(s, n), dy(s, n), branch(s, narrowed<T>(random_values<float>(n, 7)));
  const Buffer<float> dshift(s, std::vector<float>(m)), dscale(s, std::vector<float>(m)),
      dgate(s, std::vector<float>(m));
  modulate_forward<T>(s, y, mean, rstd, x, shift, scale, p);
  gate_forward<T>(s, out, x, branch, gate, p);
  gate_backward<T>(s, dy, dgate, dout, branch, gate, p);
  modulate_backward_accumulate<T>(s, dx, dshift, dscale, branch, x, mean, rstd, scale, p);
  const auto values = x.host(), made = widened(y.host()), sum = out.host(), in = widened(branch.host());
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
      CHECK(made[i] == doctest::Approx(expected).epsilon(1e-4 + unit));
      CHECK(sum[i] == doctest::Approx(values[i] + gate.host()[b + std::size_t(c)] * in[i]).epsilon(1e-5));
    }
  }
  return {made, sum, widened(dy.host()), dx.host(), dshift.host(), dscale.host(), dgate.host(), mean.host()};
}

} // namespace

TEST_CASE("modulate and gate: every device, odd sizes, fp32 and bf16 branches; forward by its definition") {
  for (const Modulation p : {Modulation{1, 1, 1, 1}, Modulation{2, 9, 24, 144}, Modulation{3, 17, 67, 70},
                             Modulation{2, 70, 132, 264}, Modulation{1, 50, 5, 5}}) {
    same_on_every_device(1e-5, [&](Stream &s) { return results<float>(s, p, 0); });
    // Rounding to bf16 may fall on either side of a tie: one unit in the last place.
    same_on_every_device(0x1p-7, [&](Stream &s) { return results<bf16>(s, p, 0x1p-8); });
  }
}

TEST_CASE("modulate and gate: gradients agree with central differences in double") {
  Stream s{Device{}};
  const Modulation p{2, 5, 6, 12};
  const std::size_t n = std::size_t(p.rows()) * p.width, rows = std::size_t(p.rows()),
                    m = std::size_t(p.batch) * p.step;
  const auto x0 = random_values<double>(n, 1), a0 = random_values<double>(m, 2), b0 = random_values<double>(m, 3),
             d0 = random_values<double>(n, 4), y0 = random_values<double>(n, 5);
  const auto dot = [&](const std::vector<double> &v) {
    double sum = 0;
    for (std::size_t i = 0; i < n; ++i)
      sum += v[i] * d0[i];
    return sum;
  };
  const auto modulated = [&](const auto &x, const auto &shift, const auto &scale) {
    const Buffer<double> in(s, x), by_shift(s, shift), by_scale(s, scale), y(s, n), mean(s, rows), rstd(s, rows);
    modulate_forward<double>(s, y, mean, rstd, in, by_shift, by_scale, p);
    return dot(y.host());
  };
  const auto gated = [&](const auto &y, const auto &gate) {
    const Buffer<double> in(s, x0), branch(s, y), by(s, gate), out(s, n);
    gate_forward<double>(s, out, in, branch, by, p);
    return dot(out.host());
  };
  const Buffer<double> x(s, x0), shift(s, a0), scale(s, b0), y(s, n), mean(s, rows), rstd(s, rows), d(s, d0),
      branch(s, y0), dx(s, std::vector<double>(n)), dy(s, n), dshift(s, std::vector<double>(m)),
      dscale(s, std::vector<double>(m)), dgate(s, std::vector<double>(m));
  modulate_forward<double>(s, y, mean, rstd, x, shift, scale, p);
  modulate_backward_accumulate<double>(s, dx, dshift, dscale, d, x, mean, rstd, scale, p);
  check_gradient(x0, dx.host(), [&](const auto &v) { return modulated(v, a0, b0); });
  check_gradient(a0, dshift.host(), [&](const auto &v) { return modulated(x0, v, b0); });
  check_gradient(b0, dscale.host(), [&](const auto &v) { return modulated(x0, a0, v); });
  gate_backward<double>(s, dy, dgate, d, branch, scale, p);
  check_gradient(y0, dy.host(), [&](const auto &v) { return gated(v, b0); });
  check_gradient(b0, dgate.host(), [&](const auto &v) { return gated(y0, v); });
}
