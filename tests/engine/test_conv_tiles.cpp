// Tiles against the whole: the same output, gradients and running statistics.
#include "bound.h"
#include "engine/layers/conv_stack.h"
#include "engine/layers/conv_tiles.h"

using namespace theta;
using namespace theta::test;

namespace {

// As p-diff's encoder, whose last block has a norm, and its decoder, whose last has none.
template <class T>
std::vector<ConvBlock<T>> make_blocks(Layout &parameters, Layout &buffers, bool encodes, int length) {
  std::vector<ConvBlock<T>> all;
  int channels = encodes ? 1 : 5;
  const std::vector<int> widths = encodes ? std::vector{3, 4, 2} : std::vector{4, 3};
  for (std::size_t i = 0; i < widths.size(); ++i) {
    const std::string name = std::to_string(i);
    all.emplace_back(parameters, buffers, name + ".0", name + ".1",
                     ConvBlockShape{channels, widths[i], length, 7, 2, !encodes,
                                    encodes ? Activation::leaky_relu : Activation::elu});
    channels = widths[i], length = encodes ? length / 2 : length * 2;
  }
  if (!encodes)
    all.emplace_back(parameters, buffers, "last", "",
                     ConvBlockShape{.in_channels = channels, .out_channels = 1, .in_length = length, .kernel = 7});
  return all;
}

template <class T> struct Result { std::vector<T> out, dx, gradient, running; };

template <class T, class Run>
Result<T> result_of(Stream &s, const Layout &layout, const Layout &buffers, std::size_t in, std::size_t out, Run run) {
  const Vectors<T> vectors(s, random_values<T>(layout.size(), 1, 0.3), std::vector<T>(buffers.size(), T(0.5)));
  const Buffer<T> x(s, random_values<T>(in, 2)), y(s, out), dx(s, in), d(s, random_values<T>(out, 3));
  run(vectors.parameters(), x.get(), y.get(), dx.get(), d.get());
  return {y.host(), dx.host(), vectors.gradient.host(), vectors.buffer.host()};
}

template <class T> Result<T> whole(Stream &s, bool encodes, int length, int batch) {
  Layout layout, buffers;
  ConvStack<T> stack("stack", make_blocks<T>(layout, buffers, encodes, length), {});
  MemoryPlan plan("test");
  const StackScratch<T> scratch(plan, "scratch", stack.needs(s.device().backend, batch, Mode::train));
  stack.work_in(scratch);
  stack.plan_forward(plan, batch, Mode::train), stack.plan_backward(plan);
  plan.place();
  const Arena arena(s.device(), plan);
  return result_of<T>(s, layout, buffers, std::size_t(batch) * stack.in_size(), std::size_t(batch) * stack.out_size(),
                      [&](const Parameters<T> &p, T *x, T *y, T *dx, T *d) {
                        stack.forward(s, p, y, x, Mode::train);
                        stack.backward(s, p, dx, d, x);
                      });
}

template <class T> Result<T> tiled(Stream &s, bool encodes, int length, int batch, int tile, std::size_t &bytes) {
  Layout layout, buffers;
  ConvTiles<T> tiles("tiles", make_blocks<T>(layout, buffers, encodes, length), tile);
  MemoryPlan plan("test");
  tiles.plan(plan, s.device().backend, batch, Mode::train);
  plan.place();
  bytes = plan.device_bytes();
  const Arena arena(s.device(), plan);
  return result_of<T>(s, layout, buffers, std::size_t(batch) * tiles.in_size(), std::size_t(batch) * tiles.out_size(),
                      [&](const Parameters<T> &p, T *x, T *y, T *dx, T *d) {
                        tiles.forward(s, p, y, x, Mode::train);
                        tiles.backward(s, p, dx, d, x);
                      });
}

} // namespace

TEST_CASE("conv tiles: output, gradients and running statistics are the whole stack's, for tiles of any length") {
  Stream s{Device{}};
  for (const bool encodes : {true, false})
    for (const int length : {8, 24, 200}) {
      const auto expected = whole<double>(s, encodes, encodes ? length : length / 4, 3);
      for (const int tile : {1, 8, 40, 64, 1000}) {
        CAPTURE(encodes);
        CAPTURE(length);
        CAPTURE(tile);
        std::size_t bytes = 0;
        const auto found = tiled<double>(s, encodes, encodes ? length : length / 4, 3, tile, bytes);
        CHECK(relative_error(found.out, expected.out) <= 1e-12);
        CHECK(relative_error(found.dx, expected.dx) <= 1e-11);
        CHECK(relative_error(found.gradient, expected.gradient) <= 1e-11);
        CHECK(relative_error(found.running, expected.running) <= 1e-12);
      }
    }
}

TEST_CASE("conv tiles: every device; memory is that of a tile") {
  for (const auto device : all_devices()) {
    CAPTURE(device.name());
    Stream s(device);
    for (const bool encodes : {true, false}) {
      std::size_t small = 0, same = 0, large = 0;
      const auto expected = whole<float>(s, encodes, encodes ? 192 : 48, 2);
      const auto found = tiled<float>(s, encodes, encodes ? 192 : 48, 2, 32, small);
      // Some hundred terms of a sum in another order, through four normalisations.
      CHECK(norm_error(found.out, expected.out) <= 1e-5);
      CHECK(norm_error(found.dx, expected.dx) <= 1e-4);
      CHECK(norm_error(found.gradient, expected.gradient) <= 1e-4);
      tiled<float>(s, encodes, encodes ? 768 : 192, 2, 32, same);
      tiled<float>(s, encodes, encodes ? 768 : 192, 2, 768, large);
      CHECK(same == small);
      CHECK(large > 2 * small);
    }
  }
}
