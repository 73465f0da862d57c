#include "kernels/device/parallel.h"
#include "kernels/operations/conv2d.h"
#include "kernels/operations/pool2d.h"
#include "kernels/parts/tiles.h"
#include "tests/check.h"

using namespace theta;
using namespace theta::test;

namespace {

// y, dx, dw of a call; dw added to `before`.
template <class T>
std::array<std::vector<T>, 3> conv2d_passes(Stream &s, const Conv2d &p, const std::vector<T> &x,
                                            const std::vector<T> &w, const std::vector<T> &bias,
                                            const std::vector<T> &dy, const std::vector<T> &before) {
  const Buffer<T> at(s, x), weights(s, w), b(s, bias), d(s, dy), y(s, p.y_size()), dx(s, p.x_size()), dw(s, before),
      workspace(s, conv2d_workspace(p));
  conv2d_forward<T>(s, y, at, weights, bias.empty() ? nullptr : b.get(), p);
  conv2d_backward_data<T>(s, dx, d, weights, p);
  conv2d_backward_weight<T>(s, dw, d, at, workspace, p);
  return {y.host(), dx.host(), dw.host()};
}

// By its definition, in double.
std::array<std::vector<double>, 3> conv2d_by_definition(const Conv2d &p, const std::vector<double> &x,
                                                        const std::vector<double> &w, const std::vector<double> &dy,
                                                        const std::vector<double> &before) {
  std::vector<double> y(p.y_size()), dx(p.x_size()), dw = before;
  std::size_t at = 0;
  for (int n = 0; n < p.batch; ++n)
    for (int o = 0; o < p.out_channels; ++o)
      for (int u = 0; u < p.out_height(); ++u)
        for (int v = 0; v < p.out_width(); ++v, ++at)
          for (int i = 0; i < p.in_group(); ++i)
            for (int t = 0; t < p.taps(); ++t) {
              const int row = u * p.stride + t / p.kernel - p.above(), column = v * p.stride + t % p.kernel - p.padding;
              if (row < 0 || row >= p.in_height || column < 0 || column >= p.in_width)
                continue;
              const std::size_t plane = std::size_t(n * p.in_channels + o / p.out_group() * p.in_group() + i);
              const std::size_t from =
                  (plane * std::size_t(p.in_height) + std::size_t(row)) * std::size_t(p.in_width) + std::size_t(column);
              const std::size_t weight = std::size_t((o * p.in_group() + i) * p.taps() + t);
              y[at] += w[weight] * x[from], dx[from] += w[weight] * dy[at], dw[weight] += dy[at] * x[from];
            }
  return {y, dx, dw};
}

} // namespace

TEST_CASE("conv2d agrees with PyTorch") {
  struct Case {
    const char *name;
    int stride, padding, groups;
  };
  for (const auto &[name, stride, padding, groups] : {Case{"3x3_s1", 1, 1, 1},
                                                      {"3x3_s2", 2, 1, 1},
                                                      {"1x1_s2", 2, 0, 1},
                                                      {"7x7_s2", 2, 3, 1},
                                                      {"5x5", 1, 0, 1},
                                                      {"depthwise_7x7", 1, 3, 6},
                                                      {"patch_4x4", 4, 0, 1}}) {
    CAPTURE(name);
    const Golden golden(std::string("conv2d_") + name);
    in_every_precision([&]<class T>(T, Stream &s) {
      const Conv2d p{golden.side("x", 0),
                     golden.side("x", 1),
                     golden.side("w", 0),
                     golden.side("x", 2),
                     golden.side("x", 3),
                     golden.side("w", 2),
                     stride,
                     padding,
                     groups};
      REQUIRE(p.out_height() == golden.side("y", 2));
      REQUIRE(p.out_width() == golden.side("y", 3));
      REQUIRE(p.in_group() == golden.side("w", 1));
      const auto found = conv2d_passes<T>(s, p, golden.get<T>("x"), golden.get<T>("w"), golden.get<T>("b"),
                                          golden.get<T>("dy"), std::vector<T>(p.w_size()));
      CHECK(relative_error(found[0], golden.get<T>("y")) <= golden_tolerance<T>);
      CHECK(relative_error(found[1], golden.get<T>("dx")) <= golden_tolerance<T>);
      CHECK(relative_error(found[2], golden.get<T>("dw")) <= golden_tolerance<T>);
    });
  }
}

TEST_CASE("conv2d of sequences agrees with PyTorch's Conv1d") {
  for (const auto &[name, stride] : {std::pair{"conv1d_k7_s1", 1}, {"conv1d_k7_s2", 2}, {"conv1d_k7_s2_odd", 2}}) {
    CAPTURE(name);
    const Golden golden(name);
    in_every_precision([&]<class T>(T, Stream &s) {
      const Conv2d p{
          golden.side("x", 0), golden.side("x", 1), golden.side("w", 0), 1, golden.side("x", 2), 7, stride, 3, 1, true};
      REQUIRE((p.out_width() == golden.side("y", 2) && p.out_height() == 1));
      const auto found = conv2d_passes<T>(s, p, golden.get<T>("x"), golden.get<T>("w"), golden.get<T>("b"),
                                          golden.get<T>("dy"), std::vector<T>(p.w_size()));
      CHECK(relative_error(found[0], golden.get<T>("y")) <= golden_tolerance<T>);
      CHECK(relative_error(found[1], golden.get<T>("dx")) <= golden_tolerance<T>);
      CHECK(relative_error(found[2], golden.get<T>("dw")) <= golden_tolerance<T>);
    });
  }
}

TEST_CASE("conv2d is its definition: every device, odd sizes, groups, gradients added") {
  for (const Conv2d p :
       {Conv2d{1, 1, 1, 1, 1, 1, 1, 0, 1}, Conv2d{17, 3, 11, 5, 7, 3, 1, 1, 1}, Conv2d{33, 10, 9, 6, 5, 3, 2, 1, 1},
        Conv2d{5, 70, 67, 4, 4, 3, 1, 1, 1}, Conv2d{3, 6, 9, 8, 9, 5, 3, 2, 3}, Conv2d{19, 8, 8, 7, 6, 4, 3, 0, 8},
        Conv2d{2, 4, 8, 6, 6, 2, 2, 0, 4}, Conv2d{7, 2, 3, 3, 9, 3, 4, 2, 1}, Conv2d{4, 70, 70, 3, 4, 3, 1, 1, 70},
        Conv2d{9, 5, 4, 6, 6, 1, 1, 2, 1}, Conv2d{140, 3, 2, 4, 5, 3, 1, 1, 1}, Conv2d{3, 18, 20, 7, 6, 3, 2, 1, 2},
        Conv2d{2, 33, 131, 5, 6, 3, 1, 1, 1}, Conv2d{2, 140, 9, 4, 7, 3, 2, 1, 1},
        Conv2d{4, 11, 70, 1, 31, 7, 2, 3, 1, true}, Conv2d{18, 5, 9, 1, 23, 7, 2, 3, 1, true},
        Conv2d{3, 6, 6, 1, 9, 4, 1, 2, 6, true}}) {
    CAPTURE(p.kernel);
    CAPTURE(p.stride);
    CAPTURE(p.groups);
    CAPTURE(p.batch);
    const auto x = random_values<double>(p.x_size(), 1), w = random_values<double>(p.w_size(), 2),
               dy = random_values<double>(p.y_size(), 3), before = random_values<double>(p.w_size(), 4);
    const auto wanted = conv2d_by_definition(p, x, w, dy, before);
    in_every_precision([&]<class T>(T, Stream &s) {
      const auto as = [](const std::vector<double> &v) { return std::vector<T>(v.begin(), v.end()); };
      const auto found = conv2d_passes<T>(s, p, as(x), as(w), {}, as(dy), as(before));
      for (std::size_t i = 0; i < 3; ++i) {
        CAPTURE(i);
        CHECK(relative_error(found[i], wanted[i]) <= golden_tolerance<T>);
      }
      if constexpr (std::is_same_v<T, float>) { // operands of bf16, sums of fp32
        Conv2d half = p;
        half.arithmetic = Arithmetic::bf16;
        const auto near = [](const std::vector<double> &v) { return widened(narrowed<bf16>(v)); };
        const auto exact = [&](const std::vector<double> &v) {
          const auto of = near(v);
          return std::vector<double>(of.begin(), of.end());
        };
        const bool rounds = !s.is_cuda() || (p.in_group() >= 8 && p.out_group() >= 8); // few channels are fp32 there
        const auto of_half = rounds ? conv2d_by_definition(p, exact(x), exact(w), exact(dy), before) : wanted;
        const auto of_bf16 = conv2d_passes<T>(s, half, as(x), as(w), {}, as(dy), as(before));
        for (std::size_t i = 0; i < 3; ++i) {
          CAPTURE(i);
          CHECK(relative_error(of_bf16[i], of_half[i]) <= golden_tolerance<T>);
        }
        if (simd::fits_tiles && !s.is_cuda()) {
          const Bf16Unit had = bf16_unit();
          use_bf16_unit(had == Bf16Unit::tiles ? Bf16Unit::vectors
                                               : Bf16Unit::tiles); // tiles that are not there: plain code
          const auto other = conv2d_passes<T>(s, half, as(x), as(w), {}, as(dy), as(before));
          const auto bias = random_values<T>(std::size_t(p.out_channels), 5);
          const auto biased = conv2d_passes<T>(s, half, as(x), as(w), bias, as(dy), as(before))[0];
          use_bf16_unit(had);
          for (std::size_t i = 0; i < 3; ++i)
            CHECK(relative_error(other[i], of_half[i]) <= golden_tolerance<T>);
          CHECK(relative_error(biased, conv2d_passes<T>(s, half, as(x), as(w), bias, as(dy), as(before))[0]) <=
                golden_tolerance<T>);
        }
      }
      const Buffer<T> d(s, as(dy)), weights(s, as(w)), twice(s, found[1]); // added to what is there
      conv2d_backward_data<T>(s, twice, d, weights, p, true);
      auto doubled = found[1];
      for (T &v : doubled)
        v *= 2;
      CHECK(relative_error(twice.host(), doubled) <= golden_tolerance<T>);
    });
  }
}

TEST_CASE("conv2d: a sample does not depend on those beside it, nor the weights' gradient on threads") {
  Stream s{Device{}};
  const Conv2d p{37, 5, 6, 9, 8, 3, 2, 1, 1};
  Conv2d one = p;
  one.batch = 1;
  const auto x = random_values<float>(p.x_size(), 1), w = random_values<float>(p.w_size(), 2),
             dy = random_values<float>(p.y_size(), 3);
  const std::vector<float> before(p.w_size());
  const auto all = conv2d_passes<float>(s, p, x, w, {}, dy, before);
  const auto last = [](const std::vector<float> &v) {
    return std::vector<float>(v.end() - std::ptrdiff_t(v.size() / 37), v.end());
  };
  const auto alone = conv2d_passes<float>(s, one, last(x), w, {}, last(dy), before);
  CHECK(last(all[0]) == alone[0]);
  CHECK(last(all[1]) == alone[1]);
  use_threads(3);
  CHECK(conv2d_passes<float>(s, p, x, w, {}, dy, before) == all);
  use_threads(0);
}

TEST_CASE("max pooling agrees with PyTorch, and the first of equals takes the gradient") {
  const Golden golden("pooling");
  in_every_precision([&]<class T>(T, Stream &s) {
    const Pool2d p{
        std::size_t(golden.side("x", 0) * golden.side("x", 1)), golden.side("x", 2), golden.side("x", 3), 3, 2, 1};
    const Buffer<T> x(s, golden.get<T>("x")), dy(s, golden.get<T>("max3_s2_p1.dy")), y(s, p.y_size()),
        dx(s, p.x_size());
    const Buffer<std::uint8_t> which(s, p.y_size());
    max_pool2d<T>(s, y, which, x, p);
    max_pool2d_backward<T>(s, dx, dy, which, p);
    CHECK(y.host() == golden.get<T>("max3_s2_p1.y"));
    CHECK(relative_error(dx.host(), golden.get<T>("max3_s2_p1.dx")) <= golden_tolerance<T>);
    const auto once = dx.host();
    max_pool2d_backward<T>(s, dx, dy, which, p, true);
    auto twice = once;
    for (T &v : twice)
      v *= 2;
    CHECK(relative_error(dx.host(), twice) <= golden_tolerance<T>);

    const Pool2d odd{2, 5, 3}; // a last row and column that no window has
    const T nan = std::numeric_limits<T>::quiet_NaN();
    const Buffer<T> of(s, std::vector<T>{1, 1, 9, 1,   1, 9, 2,  7,  9, 3,  7,  9, 9, 9, 9,
                                         0, 0, 0, nan, 1, 0, -1, -2, 0, -3, -4, 0, 0, 0, 0}),
        largest(s, odd.y_size()), to(s, std::vector<T>{1, 2, 3, 4}), given(s, odd.x_size());
    const Buffer<std::uint8_t> at(s, odd.y_size());
    max_pool2d<T>(s, largest, at, of, odd);
    max_pool2d_backward<T>(s, given, to, at, odd);
    const auto found = largest.host();
    CHECK(found[0] == 1);
    CHECK(found[1] == 7);
    CHECK(found[2] != found[2]);
    CHECK(found[3] == -1);
    CHECK(given.host() ==
          std::vector<T>{1, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0});
  });
}
