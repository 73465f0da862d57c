// Packs of the cpu: fused multiply-adds are fused, and sums across lanes have one order whatever a pack's width.
#include "kernels/device/philox.h"
#include "kernels/parts/pairs.h"
#include "tests/check.h"
#include <doctest/doctest.h>

using namespace theta;

namespace {

template <class T> std::vector<T> draws(std::size_t n, std::uint32_t stream) {
  std::vector<T> x(n + 16, 0);
  for (std::size_t i = 0; i < n; ++i)
    x[i] = T(normal(1, Purpose::test, stream, i));
  return x;
}

// The order of RowSum, a number at a time: lanes of 64 bytes, halved and halved again.
template <class T> T by_definition(std::vector<T> part) {
  for (std::size_t half = part.size() / 2; half > 0; half /= 2)
    for (std::size_t k = 0; k < half; ++k)
      part[k] += part[k + half];
  return part[0];
}

template <class T> void rows() {
  constexpr std::size_t lanes = 64 / sizeof(T);
  using P = simd::Pack<T>;
  for (const int n : {1, 3, int(lanes) - 1, int(lanes), int(lanes) + 1, 2 * int(lanes), 61, 128, 1000}) {
    CAPTURE(n);
    const auto x = draws<T>(std::size_t(n), 0), y = draws<T>(std::size_t(n), 1);
    std::vector<T> plain(lanes, 0), products(lanes, 0);
    for (std::size_t i = 0; i < std::size_t(n); ++i) {
      plain[i % lanes] += x[i];
      products[i % lanes] = std::fma(x[i], y[i], products[i % lanes]);
    }
    CHECK(simd::row_sum<T>(n, [&](int i, int count) { return simd::load_some<P>(x.data() + i, count); }) ==
          by_definition(plain));
    simd::RowSum<T> sum;
    for (int i = 0; i < n; i += simd::lanes<T>)
      sum.add_product(i, simd::load_some<P>(x.data() + i, n - i), simd::load_some<P>(y.data() + i, n - i));
#if defined(__FMA__)
    CHECK(sum.total() == by_definition(products));
#endif
  }
}

} // namespace

TEST_CASE("simd: a row's sum has the order of 64 bytes of lanes, whatever a pack's width") {
  rows<float>();
  rows<double>();
  for (const std::size_t n : {1, 7, 8, 9, 16, 100, 1000}) {
    const auto x = draws<float>(n, 2);
    std::vector<double> part(8, 0);
    for (std::size_t i = 0; i < n; ++i)
      part[i % 8] += double(x[i]);
    CHECK(simd::sum_in_double(n, [&](std::size_t i) { return double(x[i]); }) == by_definition(part));
  }
}

TEST_CASE("simd: examples' lanes are added as packs of 32 bytes would be") {
  const auto x = draws<float>(16, 3);
  float expected = 0.1f, found = 0.1f;
  for (int first = 0; first < 16; first += 8)
    expected += by_definition(std::vector<float>(x.begin() + first, x.begin() + first + 8));
  if constexpr (simd::pack_bytes >= 32) {
    for (int first = 0; first < 16; first += simd::lanes<float>)
      simd::add_lanes(found, simd::load<simd::Floats>(x.data() + first));
    CHECK(found == expected);
  }
}

TEST_CASE("simd: a multiply-add is rounded once, a product and a sum twice") {
  const float a = 1 + 0x1p-12f, c = -(1 + 0x1p-11f); // a² = 1 + 2^-11 + 2^-24
  const auto pack = simd::broadcast<simd::Floats>(a), sum = simd::broadcast<simd::Floats>(c);
#if defined(__FMA__)
  CHECK(simd::multiply_add(pack, pack, sum)[0] == 0x1p-24f);
#endif
  CHECK((pack * pack + sum)[0] == 0);
  volatile float x = a, y = c; // nor does the compiler fuse what is written apart
  CHECK(x * x + y == 0);
}

TEST_CASE("pairs: two products of bf16 are added to a sum as two multiply-adds would, the later first") {
  using namespace simd;
  constexpr int L = lanes<float>;
  for (std::uint32_t turn = 0; turn < 200; ++turn) {
    const auto x = draws<float>(5 * L, 10 + turn);
    const auto at = [&](int i) { return load<Floats>(x.data() + i * L); };
    const Words a = pairs(at(0), at(1)), b = pairs(at(2), at(3)), beside = neighbours(at(0), at(1));
    const Floats sum = multiply_add(a, b, at(4));
    for (int i = 0; i < L; ++i) {
      CHECK(a[i] == pack_bf16(at(0)[i], at(1)[i]));
      CHECK(beside[i] == pack_bf16(x[std::size_t(2 * i)], x[std::size_t(2 * i + 1)]));
      const auto near = [](float v) { return to_float(to_bf16(v)); };
#if defined(__FMA__)
      const float later = std::fma(near(at(1)[i]), near(at(3)[i]), at(4)[i]);
      CHECK(sum[i] == std::fma(near(at(0)[i]), near(at(2)[i]), later));
#else
      CHECK(sum[i] == near(at(0)[i]) * near(at(2)[i]) + (near(at(1)[i]) * near(at(3)[i]) + at(4)[i]));
#endif
    }
  }
  const float nan = std::numeric_limits<float>::quiet_NaN(), inf = std::numeric_limits<float>::infinity();
  const Words odd = pairs(broadcast<Floats>(nan), broadcast<Floats>(inf));
  CHECK(std::isnan(to_float(bf16{std::uint16_t(odd[0])})));
  CHECK(to_float(bf16{std::uint16_t(odd[0] >> 16)}) == inf);
}
