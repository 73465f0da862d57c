#include "bound.h"
#include "engine/layers/conv_block.h"
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
      const Slot workspace = plan.reserve<double>("workspace", MemoryClass::workspace,
                                                  {std::int64_t(block.workspace(Backend::cpu, batch))});
      block.plan_forward(plan, "block", batch, Mode::train);
      plan.place();
      const Arena arena(Device{}, plan);
      block.bind(arena, arena.at<double>(workspace));
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
