#include "bound.h"
#include "engine/layers/conv_block.h"
#include "engine/layers/dit_block.h"
#include "engine/layers/linear.h"
#include <numeric>

using namespace theta;
using namespace theta::test;

namespace {

double dot(const std::vector<double> &a, const std::vector<double> &b) {
  return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
}

} // namespace

TEST_CASE("linear: gradients of weights and input agree with central differences in double") {
  Stream s{Device{}};
  for (const auto &[rows, in, out] : {std::tuple{1, 1, 1}, {5, 7, 3}, {2, 33, 17}}) {
    Layout layout;
    const Linear linear(layout, "l", in, out);
    const auto start = cast<double>(layout.initial_values(1, 0));
    const auto x0 = random_values<double>(std::size_t(rows * in), 1),
               d = random_values<double>(std::size_t(rows * out), 2);
    const Buffer<double> dy(s, d);
    const auto loss = [&](const std::vector<double> &values, const std::vector<double> &inputs) {
      const Vectors<double> vectors(s, values, {});
      const Buffer<double> x(s, inputs), y(s, d.size());
      linear.forward<double>(s, vectors.parameters(), y, x, rows);
      return dot(y.host(), d);
    };
    const Vectors<double> vectors(s, start, {});
    const Buffer<double> x(s, x0), dx(s, x0.size());
    linear.backward<double>(s, vectors.parameters(), dx, dy, x, rows);
    check_gradient(start, vectors.gradient.host(), [&](const auto &values) { return loss(values, x0); });
    check_gradient(x0, dx.host(), [&](const auto &inputs) { return loss(start, inputs); });
  }
}

TEST_CASE("conv block: gradients of weights and input agree with central differences in double") {
  Stream s{Device{}};
  const int batch = 3;
  const ConvBlockShape shapes[] = {{2, 3, 10, 7, 1, false, Activation::elu},
                                   {1, 4, 12, 5, 2, false, Activation::leaky_relu},
                                   {3, 2, 6, 7, 2, true, Activation::elu},
                                   {2, 2, 5, 3, 1, true, Activation::silu},
                                   {4, 1, 9, 7, 1, false, Activation::none}};
  for (const ConvBlockShape &shape : shapes)
    for (const char *norm : {"norm", ""}) {
      if (!*norm && shape.act != Activation::none)
        continue; // the activation belongs to the norm
      CAPTURE(shape.transposed);
      CAPTURE(shape.stride);
      Layout parameters, buffers;
      ConvBlock<double> block(parameters, buffers, "conv", norm, shape);
      MemoryPlan plan("test");
      const auto workspace = plan.reserve<double>("workspace", MemoryClass::workspace,
                                                  {std::int64_t(block.workspace(Backend::cpu, batch))});
      block.plan_forward(plan, "block", batch, Mode::train);
      plan.place();
      const Arena arena(Device{}, plan);
      block.work_in(workspace);
      const std::size_t in = std::size_t(batch * shape.in_channels * shape.in_length);
      const std::size_t out = std::size_t(batch * block.out_channels() * block.out_length());
      const auto start = cast<double>(parameters.initial_values(1, 0)), running = cast<double>(buffers.constants());
      const auto x0 = random_values<double>(in, 1), d = random_values<double>(out, 2);
      const auto loss = [&](const std::vector<double> &values, const std::vector<double> &inputs) {
        const Vectors<double> vectors(s, values, running);
        const Buffer<double> x(s, inputs), y(s, out);
        block.forward(s, vectors.parameters(), y, x, Mode::train);
        return dot(y.host(), d);
      };
      loss(start, x0); // leaves what backward needs
      const Vectors<double> vectors(s, start, running);
      const Buffer<double> x(s, x0), dx(s, in), dy(s, d), d_pre(s, out);
      block.backward(s, vectors.parameters(), dx, d_pre, dy, x);
      check_gradient(start, vectors.gradient.host(), [&](const auto &values) { return loss(values, x0); });
      check_gradient(x0, dx.host(), [&](const auto &inputs) { return loss(start, inputs); });
    }
}

namespace {

// A block bound to memory of its own, on given parameters.
template <class T> struct Dit {
  Layout layout;
  DitBlock<T> block;
  MemoryPlan plan{"test"};
  std::optional<Arena> arena;
  int batch;

  Dit(Stream &s, const DitBlockShape &shape, int batch_) : block(layout, "", shape), batch(batch_) {
    block.plan_forward(plan, "block.", batch, Mode::train);
    block.plan_backward(plan);
    plan.place();
    arena.emplace(s.device(), plan);
  }
};

template <class T> std::vector<T> silu(const std::vector<T> &c) {
  std::vector<T> y;
  for (const T v : c)
    y.push_back(v / (1 + std::exp(-v)));
  return y;
}

} // namespace

TEST_CASE("dit block agrees with PyTorch: output and every gradient") {
  const Golden golden("dit_block");
  in_every_precision([&]<class T>(T, Stream &s) {
    const int batch = golden.side("x", 0), tokens = golden.side("x", 1), width = golden.side("x", 2);
    Dit<T> dit(s, {width, 3, tokens}, batch);
    const Vectors<T> vectors(s, flat<T>(golden, dit.layout, "param."), {T(0)});
    const auto c = golden.get<T>("c");
    const Buffer<T> x(s, golden.get<T>("x")), silu_c(s, silu(c)), dx(s, golden.get<T>("dy")),
        d_silu(s, std::vector<T>(c.size()));
    const T *y = dit.block.forward(s, vectors.parameters(), x, silu_c);
    const auto output = to_host(s, y, x.size());
    dit.block.backward_accumulate(s, vectors.parameters(), dx, d_silu, x, silu_c);
    auto dc = d_silu.host();
    for (std::size_t i = 0; i < dc.size(); ++i) { // through silu
      const T sigmoid = 1 / (1 + std::exp(-c[i]));
      dc[i] *= sigmoid * (1 + c[i] * (1 - sigmoid));
    }
    // On cuda attention multiplies in bf16.
    const double tolerance = s.is_cuda() ? 0x1p-7 : golden_tolerance<T>;
    CHECK(norm_error(output, golden.get<T>("y")) <= tolerance);
    CHECK(norm_error(dx.host(), golden.get<T>("dx")) <= tolerance);
    CHECK(norm_error(dc, golden.get<T>("dc")) <= tolerance);
    const auto gradient = vectors.gradient.host();
    for (const auto &place : dit.layout.places()) {
      CAPTURE(place.name);
      const std::vector<T> part(gradient.begin() + std::ptrdiff_t(place.offset),
                                gradient.begin() + std::ptrdiff_t(place.offset + elements_of(place)));
      CHECK(norm_error(part, golden.get<T>("grad." + place.name)) <= tolerance);
    }
  });
}

TEST_CASE("dit block in bf16 agrees with double on every device: output and every gradient") {
  const int batch = 2, tokens = 11, width = 24;
  const std::size_t n = std::size_t(batch * tokens * width);
  for (const bool conditioned : {true, false})
    for (const bool qk_norm : {true, false}) {
      CAPTURE(conditioned);
      CAPTURE(qk_norm);
      const auto run = [&]<class T>(T, Stream &s) {
        using W = Wide<T>;
        Dit<T> dit(s, {width, 3, tokens, 4, Arithmetic::bf16, conditioned, qk_norm}, batch);
        const Vectors<W> vectors(s, random_values<W>(dit.layout.size(), 1, 0.2), {W(0)});
        const Buffer<W> x(s, random_values<W>(n, 2)), c(s, random_values<W>(std::size_t(batch * width), 3)),
            dx(s, random_values<W>(n, 4)), dc(s, std::vector<W>(c.size()));
        W *told = conditioned ? c.get() : nullptr, *d_told = conditioned ? dc.get() : nullptr;
        const auto y = to_host(s, dit.block.forward(s, vectors.parameters(), x, told), n);
        dit.block.backward_accumulate(s, vectors.parameters(), dx, d_told, x, told);
        return std::vector<std::vector<W>>{y, dx.host(), dc.host(), vectors.gradient.host()};
      };
      Stream cpu{Device{}};
      const auto exact = run(double{}, cpu);
      for (const auto device : all_devices()) {
        CAPTURE(device.name());
        Stream s(device);
        const auto found = run(bf16{}, s);
        // Weights, and what is stored between some ten operations, are rounded by half a unit of 2^-8 each.
        for (std::size_t i = 0; i < exact.size(); ++i)
          if (conditioned || i != 2)
            CHECK(norm_error(found[i], exact[i]) <= 0x1p-6);
      }
    }
}

TEST_CASE("dit block: gradients agree with central differences in double; tokens may change places") {
  Stream s{Device{}};
  const int batch = 2, tokens = 5, width = 8;
  Dit<double> dit(s, {width, 2, tokens}, batch);
  const std::size_t n = std::size_t(batch * tokens * width);
  const auto start = random_values<double>(dit.layout.size(), 1, 0.3), x0 = random_values<double>(n, 2),
             c0 = random_values<double>(std::size_t(batch * width), 3), d = random_values<double>(n, 4);
  const auto run = [&](const std::vector<double> &values, const std::vector<double> &inputs,
                       const std::vector<double> &conditions) {
    const Vectors<double> vectors(s, values, {0});
    const Buffer<double> x(s, inputs), c(s, conditions);
    return to_host(s, dit.block.forward(s, vectors.parameters(), x, c), n);
  };
  const auto loss = [&](const auto &values, const auto &inputs, const auto &conditions) {
    return dot(run(values, inputs, conditions), d);
  };
  loss(start, x0, c0); // leaves what backward needs
  const Vectors<double> vectors(s, start, {0});
  const Buffer<double> x(s, x0), c(s, c0), dx(s, d), dc(s, std::vector<double>(c0.size()));
  dit.block.backward_accumulate(s, vectors.parameters(), dx, dc, x, c);
  check_gradient(start, vectors.gradient.host(), [&](const auto &v) { return loss(v, x0, c0); });
  check_gradient(x0, dx.host(), [&](const auto &v) { return loss(start, v, c0); });
  check_gradient(c0, dc.host(), [&](const auto &v) { return loss(start, x0, v); });

  const int order[tokens] = {3, 0, 4, 1, 2};
  auto moved = x0, expected = run(start, x0, c0);
  const auto plain = expected;
  for (int b = 0; b < batch; ++b)
    for (int t = 0; t < tokens; ++t)
      for (int i = 0; i < width; ++i) {
        const std::size_t to = std::size_t((b * tokens + t) * width + i),
                          from = std::size_t((b * tokens + order[t]) * width + i);
        moved[to] = x0[from], expected[to] = plain[from];
      }
  CHECK(relative_error(run(start, moved, c0), expected) <= 1e-14);
}
