#include "kernels/operations/rotary.h"
#include "tests/check.h"
#include <complex>

using namespace theta;
using namespace theta::test;

namespace {

const Rotary odd_sizes{.sequences = 19, .tokens = 13, .heads = 3, .head = 6};

std::size_t elements(const Rotary &p) { return std::size_t(p.sequences * p.tokens * 3 * p.heads * p.head); }

// By the definition: complex numbers times e^(iθ).
std::vector<double> by_definition(const std::vector<double> &x, const Rotary &p) {
  std::vector<double> y = x;
  for (int s = 0; s < p.sequences; ++s)
    for (int t = 0; t < p.tokens; ++t)
      for (int part = 0; part < 2; ++part)
        for (int h = 0; h < p.heads; ++h)
          for (int k = 0; k < p.head / 2; ++k) {
            const auto at = std::size_t((((s * p.tokens + t) * 3 + part) * p.heads + h) * p.head + k),
                       other = at + std::size_t(p.head / 2);
            const double angle = t * std::pow(10000.0, -2.0 * k / p.head);
            const auto turned = std::complex(x[at], x[other]) * std::polar(1.0, angle);
            y[at] = turned.real(), y[other] = turned.imag();
          }
  return y;
}

} // namespace

TEST_CASE("rotary: queries and keys turn by their places, values stay; in place, and on every device") {
  const auto x = random_values<double>(elements(odd_sizes), 1);
  const auto wanted = by_definition(x, odd_sizes);
  in_every_precision([&]<class T>(T, Stream &s) {
    const Buffer<T> from(s, narrowed<T>(x)), to(s, x.size());
    rotate<T>(s, to, from, odd_sizes);
    CHECK(relative_error(to.host(), wanted) <= (sizeof(T) == 8 ? 1e-14 : 1e-6));
    rotate<T>(s, from, from, odd_sizes);
    CHECK(from.host() == to.host());
  });
}

TEST_CASE(
    "rotary: products of queries and keys know how far apart they are alone; far places are as exact as near ones") {
  const Rotary far{.sequences = 1, .tokens = 4001, .heads = 1, .head = 10};
  auto x = random_values<double>(std::size_t(30), 2);
  std::vector<double> all; // the same token everywhere
  for (int t = 0; t < far.tokens; ++t)
    all.insert(all.end(), x.begin(), x.end());
  in_every_precision([&]<class T>(T, Stream &s) {
    const Buffer<T> tokens(s, narrowed<T>(all));
    rotate<T>(s, tokens, tokens, far);
    const auto y = tokens.host();
    const auto product = [&](std::size_t query, std::size_t key) {
      double sum = 0;
      for (std::size_t k = 0; k < 10; ++k)
        sum += double(y[query * 30 + k]) * double(y[key * 30 + 10 + k]);
      return sum;
    };
    const double tolerance = sizeof(T) == 8 ? 1e-11 : 1e-5;
    CHECK(std::abs(product(7, 2) - product(3999, 3994)) < tolerance);
    CHECK(std::abs(product(7, 2) - product(7, 3)) > 1e-3);
  });
}

TEST_CASE("rotary: turning back is the inverse and the backward") {
  const auto x = random_values<double>(elements(odd_sizes), 3), dy = random_values<double>(elements(odd_sizes), 4);
  Rotary back = odd_sizes;
  back.back = true;
  in_every_precision([&]<class T>(T, Stream &s) {
    const Buffer<T> from(s, narrowed<T>(x)), to(s, x.size()), above(s, narrowed<T>(dy)), below(s, x.size());
    rotate<T>(s, to, from, odd_sizes);
    rotate<T>(s, below, above, back);
    double forward = 0, backward = 0; // ⟨dy, y⟩ = ⟨dx, x⟩ of a linear operation
    const auto y = to.host(), dx = below.host();
    for (std::size_t i = 0; i < x.size(); ++i)
      forward += dy[i] * double(y[i]), backward += double(dx[i]) * x[i];
    CHECK(forward == doctest::Approx(backward).epsilon(sizeof(T) == 8 ? 1e-12 : 1e-4));
    rotate<T>(s, to, to, back);
    CHECK(relative_error(to.host(), x) <= (sizeof(T) == 8 ? 1e-14 : 1e-6));
  });
}
