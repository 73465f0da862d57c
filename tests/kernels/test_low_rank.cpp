#include "kernels/operations/low_rank.h"
#include "tests/check.h"

using namespace theta;
using namespace theta::test;

namespace {

struct Case {
  LowRank p;
  std::size_t first; // of the layer, in theta
};

const Case layer{{.networks = 3, .out = 5, .in = 7, .rank = 2, .parameters = 53, .adapters = 31}, 4};

template <class T> std::vector<T> weights_of(Stream &s, const std::vector<T> &base, const std::vector<T> &adapter) {
  const Buffer<T> b(s, base), a(s, adapter), theta(s, std::vector<T>(3 * 53, 0));
  low_rank_forward<T>(s, theta.get() + layer.first, b, a, layer.p);
  return theta.host();
}

} // namespace

TEST_CASE("low rank: weights are the base times one and a product, biases as one more input; others keep theirs") {
  Stream s{Device{}};
  const auto base = random_values<double>(40, 1), adapter = random_values<double>(3 * 31, 2);
  const auto theta = weights_of<double>(s, base, adapter);
  for (std::size_t n = 0; n < 3; ++n)
    for (std::size_t e = 0; e < 53; ++e) {
      double expected = 0;
      if (e >= 4 && e < 44) {
        const std::size_t at = e - 4, o = at < 35 ? at / 7 : at - 35, i = at < 35 ? at % 7 : 7;
        const double *u = adapter.data() + n * 31, *v = u + 10;
        expected = base[at] * (1 + u[2 * o] * v[i] + u[2 * o + 1] * v[8 + i]);
      }
      CHECK(theta[n * 53 + e] == doctest::Approx(expected).epsilon(1e-14));
    }
}

TEST_CASE("low rank: the gradient, by central differences in double; and the same on every device") {
  Stream cpu{Device{}};
  const auto base = random_values<double>(40, 1), adapter = random_values<double>(3 * 31, 2),
             slope = random_values<double>(3 * 53, 3);
  const Buffer<double> b(cpu, base), a(cpu, adapter), d(cpu, slope), da(cpu, std::vector<double>(3 * 31, 0));
  low_rank_backward<double>(cpu, da, d.get() + layer.first, b, a, layer.p);
  const auto found = da.host();
  const auto loss = [&](const std::vector<double> &of) {
    const auto theta = weights_of<double>(cpu, base, of);
    double sum = 0;
    for (std::size_t i = 0; i < theta.size(); ++i)
      sum += theta[i] * slope[i];
    return sum;
  };
  for (std::size_t n = 0; n < 3; ++n)
    for (std::size_t k = 0; k < layer.p.numbers(); ++k) {
      auto up = adapter, down = adapter;
      up[n * 31 + k] += 1e-5, down[n * 31 + k] -= 1e-5;
      CHECK(found[n * 31 + k] == doctest::Approx((loss(up) - loss(down)) / 2e-5).epsilon(1e-8));
    }
  same_on_every_device(1e-6, [&](Stream &s) {
    const std::vector<float> fb(base.begin(), base.end()), fa(adapter.begin(), adapter.end()),
        fd(slope.begin(), slope.end());
    const Buffer<float> base_there(s, fb), adapter_there(s, fa), slope_there(s, fd),
        gradient(s, std::vector<float>(3 * 31, 0));
    low_rank_backward<float>(s, gradient, slope_there.get() + layer.first, base_there, adapter_there, layer.p);
    return Results{weights_of<float>(s, fb, fa), gradient.host()};
  });
}

TEST_CASE("points of signals: those of a run's own order and signal, all in their places where a batch holds all") {
  const int inputs = 3, outputs = 2, networks = 4;
  const std::uint32_t points = 29, signals = 3;
  const auto coordinate = random_values<float>(points * inputs, 1);
  std::vector<std::uint8_t> value(std::size_t(signals * points * outputs));
  for (std::size_t i = 0; i < value.size(); ++i)
    value[i] = std::uint8_t(i * 37);
  for (const int batch : {11, 29})
    same_on_every_device(0, [&](Stream &s) {
      const Buffer<float> c(s, coordinate), x(s, std::size_t(networks * batch * inputs)),
          y(s, std::size_t(networks * batch * outputs));
      const Buffer<std::uint8_t> v(s, value);
      const BatchOrder order{networks, batch, points, 5, 7, 2};
      gather_points<float>(s, x, y, {c, v, signals, inputs, outputs, 1 / 256.0, -0.5}, order);
      const auto at = x.host(), is = y.host();
      for (int n = 0; n < networks; ++n)
        for (int b = 0; b < batch; ++b) {
          const std::size_t e = batch == 29 ? std::size_t(b) : order.example(n, b), to = std::size_t(n * batch + b);
          for (std::size_t i = 0; i < 3; ++i)
            CHECK(at[to * 3 + i] == coordinate[e * 3 + i]);
          for (std::size_t o = 0; o < 2; ++o)
            CHECK(is[to * 2 + o] == float(value[((7 + std::size_t(n)) % 3 * points + e) * 2 + o]) / 256 - 0.5f);
        }
      return Results{at, is};
    });
}
