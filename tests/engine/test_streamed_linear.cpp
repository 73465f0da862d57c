// Weights that stream from a file against weights in memory: the same bits.
#include "bound.h"
#include "engine/layers/linear.h"
#include "engine/layers/streamed_linear.h"
#include "engine/training/streamed_store.h"
#include "engine/training/trainable.h"
#include "tests/scratch.h"

using namespace theta;
using namespace theta::test;

TEST_CASE("streamed linear: forward, gradients and steps are Linear's, for blocks of any size, on every device") {
  constexpr int in = 37, out = 11, rows = 5, steps = 3;
  constexpr std::uint64_t seed = 4;
  constexpr std::uint32_t stream = 2;
  const auto x = random_values<float>(std::size_t(rows * in), 1), dy = random_values<float>(std::size_t(rows * out), 2);
  const auto options = [](long step) { return Adam{.lr = 0.05, .weight_decay = 0.1, .step = step + 1}; };
  for (const auto device : all_devices()) {
    CAPTURE(device.name());
    Stream s(device);
    Results expected;
    {
      Layout layout, none;
      layout.add("before", {3}, default_start(2));
      const Linear linear(layout, "l", in, out);
      layout.add("after", {2}, default_start(2));
      Trainable weights("w", layout, none, false);
      MemoryPlan plan("test");
      weights.plan(plan);
      plan.place();
      const Arena arena(device, plan);
      weights.initialise(s, seed, stream);
      const Buffer<float> input(s, x), d(s, dy), y(s, dy.size()), dx(s, x.size());
      for (long i = 0; i < steps; ++i) {
        linear.forward(s, weights.parameters(), y.get(), input, rows);
        linear.backward(s, weights.parameters(), dx, d.get(), input, rows);
        weights.step(s, options(i), 0);
        expected.push_back(y.host()), expected.push_back(dx.host());
      }
      const auto all = weights.result(s);
      const auto &place = layout["l.weight"];
      expected.push_back({all.begin() + std::ptrdiff_t(place.offset),
                          all.begin() + std::ptrdiff_t(place.offset + elements_of(place))});
      expected.push_back({all.begin(), all.begin() + 3}), expected.push_back({all.end() - 2, all.end()});
    }
    for (const std::size_t block : {std::size_t(1), std::size_t(4 * in * 4), std::size_t(1) << 20}) {
      CAPTURE(block);
      const Scratch folder;
      Layout layout, none;
      layout.add("before", {3}, default_start(2));
      StreamedLinear linear(layout, "l", in, out, Arithmetic::fp32, block);
      layout.add("after", {2}, default_start(2));
      CHECK(layout.size() == 3 + out + 2);
      Trainable weights("w", layout, none, false);
      MemoryPlan plan("test");
      weights.plan(plan);
      linear.plan(plan, device.backend, Mode::train);
      plan.place();
      const Arena arena(device, plan);
      weights.initialise(s, seed, stream);
      StreamedStore store(folder.path() / "store", layout.outside());
      store.begin(seed, stream);
      using Part = StreamedStore::Part;
      linear.work_on({[&](std::size_t first, std::size_t n, float *to) { store.read(0, Part::value, first, n, to); },
                      [&](std::size_t first, std::size_t n, float *m, float *v) {
                        store.read(0, Part::moment1, first, n, m), store.read(0, Part::moment2, first, n, v);
                      },
                      [&](std::size_t first, std::size_t n, const float *w, const float *m, const float *v) {
                        store.write(0, Part::value, first, n, w), store.write(0, Part::moment1, first, n, m);
                        store.write(0, Part::moment2, first, n, v);
                      }});
      const Buffer<float> input(s, x), d(s, dy), y(s, dy.size()), dx(s, x.size());
      Results found;
      for (long i = 0; i < steps; ++i) {
        linear.forward(s, weights.parameters(), y, input, rows);
        const auto move = [&](float *w, float *m, float *v, float *g, std::size_t n) {
          adam_step<float>(s, w, m, v, nullptr, g, n, options(i));
        };
        linear.backward(s, weights.parameters(), dx, d, input, rows, move);
        if (i == 1) { // a step that is not flipped has not been: what it read is as it was
          linear.backward(s, weights.parameters(), dx, d, input, rows, move);
          fill_zero(s, weights.parameters().gradient, layout.size() * sizeof(float));
          channel_sum<float>(s, weights.parameters().gradient_of(3), d, rows, out, 1);
        }
        weights.step(s, options(i), 0);
        store.sync(), store.flip();
        found.push_back(y.host()), found.push_back(dx.host());
      }
      std::vector<float> weight(std::size_t(in * out));
      StreamedStore again(folder.path() / "store", layout.outside());
      again.open(store.generation());
      again.read(0, Part::value, 0, weight.size(), weight.data());
      const auto all = weights.result(s);
      found.push_back(weight);
      found.push_back({all.begin(), all.begin() + 3}), found.push_back({all.end() - 2, all.end()});
      REQUIRE(found.size() == expected.size());
      for (std::size_t i = 0; i < found.size(); ++i)
        if (device.backend == Backend::cpu)
          CHECK(found[i] == expected[i]);
        else
          CHECK(relative_error(found[i], expected[i]) <= 1e-5); // products of other shapes
    }
  }
}
