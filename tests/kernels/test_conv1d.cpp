#include "kernels/device/bf16.h"
#include "kernels/operations/conv1d.h"
#include "kernels/operations/reduce.h"
#include "tests/check.h"
#include <functional>

using namespace theta;
using namespace theta::test;

TEST_CASE("conv1d agrees with PyTorch") {
  for (const auto &[name, stride] :
       {std::pair{"conv1d_k7_s1", 1}, {"conv1d_k7_s2", 2}, {"conv1d_k7_s2_odd", 2}, {"conv1d_k7_c1", 1}}) {
    CAPTURE(name);
    const Golden golden(name);
    in_every_precision([&]<class T>(T, Stream &s) {
      const Conv1d p{golden.side("x", 0), golden.side("x", 1), golden.side("w", 0), golden.side("x", 2), 7, stride, 3};
      REQUIRE(p.out_length() == golden.side("y", 2));
      const Buffer<T> x(s, golden.get<T>("x")), w(s, golden.get<T>("w")), b(s, golden.get<T>("b")),
          dy(s, golden.get<T>("dy"));
      const Buffer<T> y(s, p.y_size()), dx(s, p.x_size()), workspace(s, conv1d_workspace(s.device().backend, p));
      const Buffer<T> dw(s, std::vector<T>(p.w_size())), db(s, std::vector<T>(b.size()));
      conv1d_forward<T>(s, y, x, w, b, workspace, p);
      conv1d_backward_data<T>(s, dx, dy, w, nullptr, workspace, p);
      conv1d_backward_weight<T>(s, dw, dy, x, workspace, p);
      channel_sum<T>(s, db, dy, p.batch, p.out_channels, p.out_length());
      CHECK(relative_error(y.host(), golden.get<T>("y")) <= golden_tolerance<T>);
      CHECK(relative_error(dx.host(), golden.get<T>("dx")) <= golden_tolerance<T>);
      CHECK(relative_error(dw.host(), golden.get<T>("dw")) <= golden_tolerance<T>);
      CHECK(relative_error(db.host(), golden.get<T>("db")) <= golden_tolerance<T>);
    });
  }
}

TEST_CASE("transposed conv1d agrees with PyTorch") {
  const Golden golden("conv_transpose1d_k7_s2");
  in_every_precision([&]<class T>(T, Stream &s) {
    const Conv1d p{golden.side("x", 0), golden.side("w", 1), golden.side("w", 0), golden.side("y", 2), 7, 2, 3};
    REQUIRE(p.out_length() == golden.side("x", 2));
    const Buffer<T> x(s, golden.get<T>("x")), w(s, golden.get<T>("w")), b(s, golden.get<T>("b")),
        dy(s, golden.get<T>("dy"));
    const Buffer<T> y(s, p.x_size()), dx(s, p.y_size()), workspace(s, conv1d_workspace(s.device().backend, p));
    const Buffer<T> dw(s, std::vector<T>(p.w_size())), db(s, std::vector<T>(b.size()));
    conv_transpose1d_forward<T>(s, y, x, w, b, workspace, p);
    conv_transpose1d_backward_data<T>(s, dx, dy, w, workspace, p);
    conv_transpose1d_backward_weight<T>(s, dw, dy, x, workspace, p);
    channel_sum<T>(s, db, dy, p.batch, p.in_channels, p.in_length);
    CHECK(relative_error(y.host(), golden.get<T>("y")) <= golden_tolerance<T>);
    CHECK(relative_error(dx.host(), golden.get<T>("dx")) <= golden_tolerance<T>);
    CHECK(relative_error(dw.host(), golden.get<T>("dw")) <= golden_tolerance<T>);
    CHECK(relative_error(db.host(), golden.get<T>("db")) <= golden_tolerance<T>);
  });
}

TEST_CASE("conv1d: every device, odd sizes, gradients added") {
  for (const Conv1d p : {Conv1d{1, 1, 1, 1, 7, 1, 3}, Conv1d{2, 3, 67, 29, 7, 1, 3}, Conv1d{3, 11, 5, 64, 7, 2, 3},
                         Conv1d{2, 2, 3, 13, 5, 3, 1}, Conv1d{40, 9, 2, 17, 7, 2, 3}})
    same_on_every_device(1e-5, [&](Stream &s) {
      const Buffer<float> x(s, random_values<float>(p.x_size(), 1)), w(s, random_values<float>(p.w_size(), 2)),
          dy(s, random_values<float>(p.y_size(), 3)), b(s, random_values<float>(std::size_t(p.in_channels), 4));
      const Buffer<float> y(s, p.y_size()), dx(s, p.x_size()), dw(s, random_values<float>(p.w_size(), 5));
      const Buffer<float> workspace(s, conv1d_workspace(s.device().backend, p));
      conv1d_forward<float>(s, y, x, w, nullptr, workspace, p);
      conv1d_backward_data<float>(s, dx, dy, w, b, workspace, p);
      conv1d_backward_weight<float>(s, dw, dy, x, workspace, p);
      return Results{y.host(), dx.host(), dw.host()};
    });
}

namespace {

// The nearest bf16 numbers: what tensor cores multiply without rounding anything.
std::vector<float> bf16_values(std::size_t n, int salt) {
  auto values = random_values<float>(n, salt);
  for (float &v : values)
    v = to_float(to_bf16(v));
  return values;
}

struct ConvInputs {
  std::vector<float> x, w, dy, out_bias, in_bias, dw;
};
ConvInputs inputs_for(const Conv1d &p, const std::function<std::vector<float>(std::size_t, int)> &values) {
  return {values(p.x_size(), 1),
          values(p.w_size(), 2),
          values(p.y_size(), 3),
          values(std::size_t(p.out_channels), 4),
          values(std::size_t(p.in_channels), 5),
          values(p.w_size(), 6)};
}

Results conv_results(Stream &s, const Conv1d &p, const ConvInputs &in) {
  const Buffer<float> x(s, in.x), w(s, in.w), dy(s, in.dy), out_bias(s, in.out_bias), in_bias(s, in.in_bias);
  const Buffer<float> y(s, p.y_size()), dx(s, p.x_size()), dw(s, in.dw);
  const Buffer<float> workspace(s, conv1d_workspace(s.device().backend, p));
  conv1d_forward<float>(s, y, x, w, out_bias, workspace, p);
  conv1d_backward_data<float>(s, dx, dy, w, in_bias, workspace, p);
  conv1d_backward_weight<float>(s, dw, dy, x, workspace, p);
  return {y.host(), dx.host(), dw.host()};
}

// p-diff's kernel with odd lengths, few and many channels, tails of every tile.
const Conv1d tensor_shapes[] = {
    {2, 16, 17, 29, 7, 1, 3},  {2, 67, 130, 19, 7, 1, 3}, {3, 33, 64, 131, 7, 1, 3},
    {2, 40, 19, 131, 7, 2, 3}, {2, 19, 70, 256, 7, 2, 3}, {1, 70, 131, 7, 7, 2, 3},
};

} // namespace

TEST_CASE("conv1d on tensor cores: products of bf16 numbers summed in fp32, odd sizes") {
  for (Conv1d p : tensor_shapes) {
    p.arithmetic = Arithmetic::bf16;
    CAPTURE(p.in_channels);
    CAPTURE(p.out_channels);
    CAPTURE(p.in_length);
    CAPTURE(p.stride);
    const ConvInputs in = inputs_for(p, bf16_values);
    same_on_every_device(1e-5, [&](Stream &s) { return conv_results(s, p, in); });
  }
}

TEST_CASE("conv1d in bf16 differs from fp32 by the rounding of its operands") {
  Stream cpu{Device{}};
  for (Conv1d p : tensor_shapes) {
    const ConvInputs in = inputs_for(p, [](std::size_t n, int salt) { return random_values<float>(n, salt); });
    const Results exact = conv_results(cpu, p, in);
    p.arithmetic = Arithmetic::bf16;
    for (const auto device : all_devices()) {
      Stream s(device);
      const Results found = conv_results(s, p, in);
      // Two operands, each off by at most 2^-9 of itself: a product by 2^-8. Sums of independent terms and of their
      // errors grow alike.
      for (std::size_t i = 0; i < found.size(); ++i)
        CHECK(norm_error(found[i], exact[i]) <= 0x1p-8);
    }
  }
}

TEST_CASE("conv1d in bf16 of bf16 numbers is fp32's: odd channels, lengths, kernels and strides") {
  for (Conv1d p : {Conv1d{1, 1, 1, 1, 7, 1, 3}, Conv1d{2, 3, 67, 29, 7, 1, 3}, Conv1d{3, 11, 5, 64, 7, 2, 3},
                   Conv1d{2, 2, 3, 13, 5, 3, 1}, Conv1d{40, 9, 2, 17, 7, 2, 3}, Conv1d{1, 4, 5, 531, 3, 1, 1}}) {
    const ConvInputs in = inputs_for(p, bf16_values);
    Stream cpu{Device{}};
    const Results exact = conv_results(cpu, p, in);
    p.arithmetic = Arithmetic::bf16;
    for (const auto device : all_devices()) {
      Stream s(device);
      const Results found = conv_results(s, p, in);
      for (std::size_t i = 0; i < found.size(); ++i)
        CHECK(relative_error(found[i], exact[i]) <= 1e-5);
    }
  }
}

TEST_CASE("conv1d with one channel on either side: every device, strides, odd sizes") {
  for (const Conv1d p : {Conv1d{3, 1, 37, 61, 7, 1, 3}, Conv1d{2, 23, 1, 300, 7, 1, 3}, Conv1d{2, 1, 5, 515, 7, 2, 3},
                         Conv1d{1, 9, 1, 31, 5, 2, 2}, Conv1d{70, 1, 1, 257, 3, 1, 1}}) {
    const ConvInputs in = inputs_for(p, [](std::size_t n, int salt) { return random_values<float>(n, salt); });
    same_on_every_device(1e-5, [&](Stream &s) { return conv_results(s, p, in); });
  }
}
