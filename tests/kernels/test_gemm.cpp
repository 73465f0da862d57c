#include "kernels/operations/gemm.h"
#include "kernels/operations/reduce.h"
#include "kernels/parts/tiles.h"
#include "tests/check.h"
#include "tests/engine/bound.h"

using namespace theta;
using namespace theta::test;

TEST_CASE("linear agrees with PyTorch") {
  const Golden golden("linear");
  in_every_precision([&]<class T>(T, Stream &s) {
    const int rows = golden.side("x", 0), in = golden.side("x", 1), out = golden.side("w", 0);
    const Buffer<T> x(s, golden.get<T>("x")), w(s, golden.get<T>("w")), b(s, golden.get<T>("b")),
        dy(s, golden.get<T>("dy"));
    const Buffer<T> y(s, std::size_t(rows) * out), dx(s, x.size());
    const Buffer<T> dw(s, std::vector<T>(w.size())), db(s, std::vector<T>(b.size()));
    linear_forward<T>(s, y, x, w, b, rows, in, out);
    linear_backward<T>(s, dx, dw, dy, x, w, rows, in, out);
    channel_sum<T>(s, db, dy, rows, out, 1);
    CHECK(relative_error(y.host(), golden.get<T>("y")) <= golden_tolerance<T>);
    CHECK(relative_error(dx.host(), golden.get<T>("dx")) <= golden_tolerance<T>);
    CHECK(relative_error(dw.host(), golden.get<T>("dw")) <= golden_tolerance<T>);
    CHECK(relative_error(db.host(), golden.get<T>("db")) <= golden_tolerance<T>);
  });
}

namespace {

// The product by its definition, in double.
std::vector<double> by_definition(const Gemm &p, const std::vector<float> &a, const std::vector<float> &b,
                                  std::vector<float> c, const std::vector<float> &bias, Activation act) {
  std::vector<double> out(c.begin(), c.end());
  for (int n = 0; n < p.batch; ++n)
    for (int i = 0; i < p.m; ++i)
      for (int j = 0; j < p.n; ++j) {
        const std::size_t at = n * p.stride_c + std::size_t(i) * p.row_c() + j;
        double sum = p.accumulate ? c[at] : 0;
        for (int k = 0; k < p.k; ++k)
          sum += double(a[n * p.stride_a +
                          (p.transpose_a ? std::size_t(k) * p.row_a() + i : std::size_t(i) * p.row_a() + k)]) *
                 b[n * p.stride_b + (p.transpose_b ? std::size_t(j) * p.row_b() + k : std::size_t(k) * p.row_b() + j)];
        out[at] = activate(act, sum + (bias.empty() ? 0 : bias[n * p.stride_bias + j]));
      }
  return out;
}

} // namespace

TEST_CASE("gemm agrees with its definition on odd sizes, in every layout") {
  const Gemm cases[] = {
      {.m = 1, .n = 1, .k = 1},
      {.m = 7, .n = 67, .k = 33},
      {.m = 201, .n = 18, .k = 301}, // more than one block of rows, and of k
      {.m = 18, .n = 50, .k = 301, .transpose_a = true, .transpose_b = true},
      {.m = 65, .n = 3, .k = 17, .transpose_a = true},
      {.m = 13, .n = 11, .k = 31, .transpose_b = true, .accumulate = true},
      {.m = 5, .n = 70, .k = 9, .transpose_a = true, .transpose_b = true},
      {.m = 6, .n = 5, .k = 7, .lda = 10, .ldb = 9, .ldc = 8},
      {.m = 9,
       .n = 4,
       .k = 12,
       .transpose_b = true,
       .batch = 3,
       .stride_a = 0,
       .stride_b = 100,
       .stride_c = 50,
       .stride_bias = 7},
  };
  int salt = 0;
  for (const Gemm &p : cases)
    for (const auto act : {Activation::none, Activation::relu, Activation::silu})
      for (const bool with_bias : {false, true}) {
        CAPTURE(p.m);
        CAPTURE(p.n);
        CAPTURE(p.k);
        CAPTURE(int(act));
        CAPTURE(with_bias);
        const auto span = [](int rows, int row, int columns) { return std::size_t(rows - 1) * row + columns; };
        const std::size_t last = std::size_t(p.batch - 1);
        const auto a = random_values<float>(
            last * p.stride_a + span(p.transpose_a ? p.k : p.m, p.row_a(), p.transpose_a ? p.m : p.k), ++salt);
        const auto b = random_values<float>(
            last * p.stride_b + span(p.transpose_b ? p.n : p.k, p.row_b(), p.transpose_b ? p.k : p.n), ++salt);
        const auto c = random_values<float>(last * p.stride_c + span(p.m, p.row_c(), p.n), ++salt);
        const auto bias = random_values<float>(with_bias ? last * p.stride_bias + p.n : 0, ++salt);
        const auto expected = by_definition(p, a, b, c, bias, act);
        const auto near = [](const std::vector<float> &x) { return widened(narrowed<bf16>(x)); };
        Gemm half = p;
        half.arithmetic = Arithmetic::bf16;
        Stream cpu{Device{}};
        const Buffer<float> ha(cpu, a), hb(cpu, b), hc(cpu, c), hbias(cpu, bias);
        gemm<float>(cpu, hc, ha, hb, half, with_bias ? hbias.get() : nullptr, act);
        CHECK(relative_error(hc.host(), by_definition(p, near(a), near(b), c, bias, act)) <= 1e-5);
        const Buffer<bf16> na(cpu, narrowed<bf16>(a)), nb(cpu, narrowed<bf16>(b)); // stored so, the same bits
        const Buffer<float> nc(cpu, c);
        gemm<bf16, float>(cpu, nc, na, nb, p, with_bias ? hbias.get() : nullptr, act);
        CHECK(nc.host() == hc.host());
        if (simd::fits_tiles) {
          const Bf16Unit had = bf16_unit();
          use_bf16_unit(had == Bf16Unit::tiles ? Bf16Unit::vectors
                                               : Bf16Unit::tiles); // tiles that are not there: plain code
          const Buffer<float> other(cpu, c);
          gemm<float>(cpu, other, ha, hb, half, with_bias ? hbias.get() : nullptr, act);
          use_bf16_unit(had);
          CHECK(relative_error(other.host(), hc.host()) <= 1e-5);
        }
        for (const auto device : all_devices()) {
          CAPTURE(device.name());
          Stream s(device);
          const Buffer<float> da(s, a), db(s, b), dc(s, c), dbias(s, bias);
          gemm<float>(s, dc, da, db, p, with_bias ? dbias.get() : nullptr, act);
          CHECK(relative_error(dc.host(), expected) <= 1e-5); // 33 products of fp32
        }
      }
}

TEST_CASE("gemm: a matrix of a batch does not depend on how many are beside it") {
  const Gemm one{.m = 33, .n = 20, .k = 45, .batch = 1, .stride_a = 33 * 45, .stride_b = 45 * 20, .stride_c = 33 * 20};
  Gemm three = one;
  three.batch = 3;
  const auto a = random_values<float>(3 * one.stride_a, 1), b = random_values<float>(3 * one.stride_b, 2);
  Stream s{Device{}};
  const Buffer<float> da(s, a), db(s, b), together(s, 3 * one.stride_c), alone(s, one.stride_c);
  gemm<float>(s, together, da, db, three);
  gemm<float>(s, alone, da + 2 * one.stride_a, db + 2 * one.stride_b, one);
  const auto all = together.host();
  CHECK(std::vector<float>(all.begin() + std::ptrdiff_t(2 * one.stride_c), all.end()) == alone.host());
}

TEST_CASE("gemm of bf16 matrices: every device, transposes, batches, bias") {
  for (const Gemm &p :
       {Gemm{.m = 1, .n = 1, .k = 1}, Gemm{.m = 37, .n = 19, .k = 67, .transpose_b = true},
        Gemm{.m = 20, .n = 33, .k = 45, .transpose_a = true, .accumulate = true},
        Gemm{.m = 9, .n = 70, .k = 31, .batch = 3, .stride_a = 9 * 31, .stride_b = 0, .stride_c = 9 * 70}})
    for (const bool with_bias : {false, true}) {
      const std::size_t batch = std::size_t(p.batch);
      const auto numbers = [](std::size_t n, int salt) { return narrowed<bf16>(random_values<float>(n, salt)); };
      const auto a = numbers(batch * p.m * p.k, 1), b = numbers(batch * p.k * p.n, 2),
                 c = numbers(batch * p.m * p.n, 3);
      // Sums are fp32 in some order; rounding them may fall on either side of a tie: one unit in the last place.
      same_on_every_device(0x1p-7, [&](Stream &s) {
        const Buffer<bf16> da(s, a), db(s, b), dc(s, c);
        const Buffer<bf16> bias(s, numbers(std::size_t(p.n), 4));
        gemm<bf16>(s, dc, da, db, p, with_bias ? bias.get() : nullptr, Activation::silu);
        return Results{widened(dc.host())};
      });
    }
}

TEST_CASE("gemm of bf16 matrices into fp32: every device, by its definition") {
  const Gemm p{.m = 21, .n = 35, .k = 67, .transpose_a = true, .accumulate = true};
  const auto a = narrowed<bf16>(random_values<float>(std::size_t(p.m * p.k), 1)),
             b = narrowed<bf16>(random_values<float>(std::size_t(p.k * p.n), 2));
  const auto c = random_values<float>(std::size_t(p.m * p.n), 3), bias = random_values<float>(std::size_t(p.n), 4);
  const auto expected = by_definition(p, widened(a), widened(b), c, bias, Activation::none);
  for (const auto device : all_devices()) {
    Stream s(device);
    const Buffer<bf16> da(s, a), db(s, b);
    const Buffer<float> dc(s, c), by(s, bias);
    gemm<bf16, float>(s, dc, da, db, p, by);
    CHECK(relative_error(dc.host(), expected) <= 1e-5);
  }
}

namespace {

// A layer 7 -> 16 with GELU and a layer 16 -> 5 after it: both gradients of the middle, and what forward leaves.
template <class T>
std::vector<std::vector<T>> through_gelu(Stream &s, int rows, const std::vector<T> &x0, const std::vector<T> &w0,
                                         const std::vector<T> &b0, const std::vector<T> &w2,
                                         const std::vector<T> &dy0) {
  const int in = 7, middle = 16, out = 5;
  const std::size_t n = std::size_t(rows) * middle;
  const Buffer<T> x(s, x0), w(s, w0), b(s, b0), after(s, w2), dy(s, dy0), y(s, n), pre(s, n), d_pre(s, n);
  const Buffer<Wide<T>> db(s, std::vector<Wide<T>>(middle));
  linear_gelu_forward<T>(s, y, pre, x, w, b, rows, in, middle);
  linear_gelu_backward<T>(s, d_pre, db, dy, after, pre, rows, middle, out);
  const auto sums = db.host();
  std::vector<T> of_bias;
  for (const auto v : sums)
    of_bias.push_back(rounded<T>(v));
  return {y.host(), pre.host(), d_pre.host(), of_bias};
}

} // namespace

TEST_CASE("linear with gelu: every device, fp32 and bf16; by its definition, and its gradient in double") {
  const int rows = 9, in = 7, middle = 16, out = 5;
  const auto x = random_values<double>(rows * in, 1), w = random_values<double>(middle * in, 2, 0.4),
             b = random_values<double>(middle, 3), w2 = random_values<double>(out * middle, 4, 0.4),
             dy = random_values<double>(rows * out, 5);
  Stream cpu{Device{}};
  const auto exact = through_gelu<double>(cpu, rows, x, w, b, w2, dy);
  // The loss Σ dy·(gelu(x·wᵀ + b)·w2ᵀ) as a function of b: its gradient is db.
  const auto loss = [&](const std::vector<double> &bias) {
    double sum = 0;
    for (int r = 0; r < rows; ++r)
      for (int m = 0; m < middle; ++m) {
        double pre = bias[std::size_t(m)];
        for (int i = 0; i < in; ++i)
          pre += x[std::size_t(r * in + i)] * w[std::size_t(m * in + i)];
        CHECK((&bias != &b || exact[1][std::size_t(r * middle + m)] == doctest::Approx(pre)));
        for (int o = 0; o < out; ++o)
          sum += dy[std::size_t(r * out + o)] * w2[std::size_t(o * middle + m)] * activate(Activation::gelu_tanh, pre);
      }
    return sum;
  };
  loss(b);
  check_gradient(b, exact[3], loss);
  for (const auto device : all_devices()) {
    CAPTURE(device.name());
    Stream s(device);
    const auto check = [&]<class T>(T, double tolerance) {
      const auto of = [](const std::vector<double> &v) { return narrowed<T>(v); };
      const auto found = through_gelu<T>(s, rows, of(x), of(w), of(b), of(w2), of(dy));
      for (std::size_t i = 0; i < 4; ++i)
        CHECK(norm_error(widened(found[i]), exact[i]) <= tolerance);
    };
    check(float{}, 1e-5);
    check(bf16{}, 0x1p-7); // of operands and of results, each half a unit of 2^-8
  }
}
