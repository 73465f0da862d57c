#include "kernels/operations/head_norm.h"
#include "tests/check.h"
#include "tests/engine/bound.h"

using namespace theta;
using namespace theta::test;

namespace {

// Forward and backward; forward also by its definition. `unit`: relative error of what is stored as T.
template <class T> Results results(Stream &s, const HeadNorm &p, double unit) {
  const std::size_t width = std::size_t(p.width()), n = std::size_t(p.rows) * 3 * width;
  const Buffer<T> raw(s, narrowed<T>(random_values<float>(n, 1))),
      bias(s, narrowed<T>(random_values<float>(3 * width, 2))),
      gain(s, narrowed<T>(random_values<float>(2 * std::size_t(p.head), 3))), out(s, n),
      d(s, narrowed<T>(random_values<float>(n, 4)));
  const Buffer<float> rstd(s, std::size_t(p.rows * 2 * p.heads)),
      dgain(s, random_values<float>(2 * std::size_t(p.head), 5)), dbias(s, random_values<float>(3 * width, 6));
  head_norm_forward<T>(s, out, rstd, raw, bias, gain, p);
  head_norm_backward<T>(s, d, dgain, dbias, raw, bias, gain, rstd, p);
  const auto x = widened(raw.host()), b = widened(bias.host()), g = widened(gain.host()), y = widened(out.host());
  for (std::size_t head = 0; head < std::size_t(p.rows * 3 * p.heads); head += 2) {
    const std::size_t of = head % std::size_t(3 * p.heads);
    double squares = 0;
    for (std::size_t c = 0; c < std::size_t(p.head); ++c)
      squares += std::pow(double(x[head * std::size_t(p.head) + c]) + b[of * std::size_t(p.head) + c], 2) / p.head;
    for (std::size_t c = 0; c < std::size_t(p.head); ++c) {
      const double in = double(x[head * std::size_t(p.head) + c]) + b[of * std::size_t(p.head) + c];
      const bool value = of >= std::size_t(2 * p.heads), key = of >= std::size_t(p.heads);
      CHECK(y[head * std::size_t(p.head) + c] ==
            doctest::Approx(value ? in : in / std::sqrt(squares + p.eps) * g[key * std::size_t(p.head) + c])
                .epsilon(1e-4 + unit));
    }
  }
  return {y, rstd.host(), widened(d.host()), dgain.host(), dbias.host()};
}

} // namespace

TEST_CASE("head norm: every device, odd sizes, fp32 and bf16; by its definition") {
  for (const HeadNorm p : {HeadNorm{1, 1, 1}, HeadNorm{37, 3, 24}, HeadNorm{5, 2, 128}}) {
    same_on_every_device(1e-5, [&](Stream &s) { return results<float>(s, p, 0); });
    // Rounding to bf16 may fall on either side of a tie: one unit in the last place, for sums too.
    same_on_every_device(0x1p-7, [&](Stream &s) { return results<bf16>(s, p, 0x1p-8); });
  }
}

TEST_CASE("head norm: gradients agree with central differences in double") {
  Stream s{Device{}};
  const HeadNorm p{5, 2, 6};
  const std::size_t width = std::size_t(p.width()), n = std::size_t(p.rows) * 3 * width;
  const auto x0 = random_values<double>(n, 1), b0 = random_values<double>(3 * width, 2),
             g0 = random_values<double>(2 * std::size_t(p.head), 3), d0 = random_values<double>(n, 4);
  const auto loss = [&](const auto &x, const auto &b, const auto &g) {
    const Buffer<double> raw(s, x), bias(s, b), gain(s, g), out(s, n), rstd(s, std::size_t(p.rows * 2 * p.heads));
    head_norm_forward<double>(s, out, rstd, raw, bias, gain, p);
    double sum = 0;
    for (std::size_t i = 0; i < n; ++i)
      sum += out.host()[i] * d0[i];
    return sum;
  };
  const Buffer<double> raw(s, x0), bias(s, b0), gain(s, g0), out(s, n), rstd(s, std::size_t(p.rows * 2 * p.heads)),
      d(s, d0), dgain(s, std::vector<double>(g0.size())), dbias(s, std::vector<double>(b0.size()));
  head_norm_forward<double>(s, out, rstd, raw, bias, gain, p);
  head_norm_backward<double>(s, d, dgain, dbias, raw, bias, gain, rstd, p);
  check_gradient(x0, d.host(), [&](const auto &v) { return loss(v, b0, g0); });
  check_gradient(b0, dbias.host(), [&](const auto &v) { return loss(x0, v, g0); });
  check_gradient(g0, dgain.host(), [&](const auto &v) { return loss(x0, b0, v); });
}
