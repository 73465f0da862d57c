#include "bound.h"
#include "engine/generators/transformer_fit.h"
#include "engine/generators/transformer_sample.h"

using namespace theta;
using namespace theta::test;

namespace {

template <class T> struct Model {
  WeightTransformer<T> model;
  MemoryPlan plan{"test"};
  std::optional<Arena> arena;
  int batch;

  Model(Stream &s, const WeightTransformerShape &shape, int batch_, Mode mode = Mode::train)
      : model(shape), batch(batch_) {
    model.plan(plan, batch, mode);
    plan.place();
    arena.emplace(s.device(), plan);
    model.bind(*arena);
  }
  std::vector<T> run(Stream &s, const std::vector<T> &values, const std::vector<T> &x, const std::vector<T> &t) {
    const Vectors<T> vectors(s, values, {T(0)});
    const Buffer<T> input(s, x), times(s, t);
    return to_host(s, model.forward(s, vectors.parameters(), input, {times}), x.size());
  }
};

const WeightTransformerShape small{
    {{"units", 4, 7, true}, {"chunks", 3, 5, false}, {"biases", 1, 3, false}}, 8, 2, 2, 6};

} // namespace

TEST_CASE("weight transformer: gradients agree with central differences in double") {
  Stream s{Device{}};
  const int batch = 3;
  Model<double> m(s, small, batch);
  const std::size_t n = std::size_t(batch) * m.model.size();
  const auto start = random_values<double>(m.model.parameters().size(), 1, 0.3), x = random_values<double>(n, 2),
             d = random_values<double>(n, 3);
  const std::vector<double> t{0.2, 0.5, 0.9};
  const auto loss = [&](const std::vector<double> &values) {
    const auto y = m.run(s, values, x, t);
    double sum = 0;
    for (std::size_t i = 0; i < n; ++i)
      sum += y[i] * d[i];
    return sum;
  };
  const Vectors<double> vectors(s, start, {0});
  const Buffer<double> input(s, x), times(s, t);
  m.model.forward(s, vectors.parameters(), input, {times});
  copy(s, m.model.d_out(), d.data(), n * sizeof(double));
  m.model.backward(s, vectors.parameters());
  check_gradient(start, vectors.gradient.host(), loss);
}

TEST_CASE("weight transformer: a fresh one gives zero; exchangeable tokens may change places, others may not") {
  Stream s{Device{}};
  Model<double> m(s, small, 1);
  const std::size_t n = m.model.size();
  const auto x = random_values<double>(n, 2);
  const auto fresh = m.run(s, cast<double>(m.model.parameters().initial_values(1, 0)), x, {0.3});
  for (const double v : fresh)
    CHECK(v == 0);
  const auto values = random_values<double>(m.model.parameters().size(), 1, 0.3);
  const auto y = m.run(s, values, x, {0.3});
  const auto swapped = [](std::vector<double> of, std::size_t first, std::size_t width) {
    std::swap_ranges(of.begin() + std::ptrdiff_t(first), of.begin() + std::ptrdiff_t(first + width),
                     of.begin() + std::ptrdiff_t(first + width));
    return of;
  };
  CHECK(relative_error(m.run(s, values, swapped(x, 7, 7), {0.3}), swapped(y, 7, 7)) <= 1e-13);
  CHECK(relative_error(m.run(s, values, swapped(x, 28, 5), {0.3}), swapped(y, 28, 5)) > 1e-3);
}

TEST_CASE(
    "weight transformer: the same on every device, attention in bf16 on cuda; inference is the training's forward") {
  std::vector<float> expected;
  const int batch = 3;
  for (const auto device : all_devices()) {
    CAPTURE(device.name());
    Stream s(device);
    Model<float> m(s, small, batch), infer(s, small, batch, Mode::infer);
    const std::size_t n = std::size_t(batch) * m.model.size();
    const auto values = random_values<float>(m.model.parameters().size(), 1, 0.3), x = random_values<float>(n, 2);
    const auto y = m.run(s, values, x, {0.2f, 0.5f, 0.9f});
    CHECK(infer.run(s, values, x, {0.2f, 0.5f, 0.9f}) == y);
    CHECK(infer.plan.device_bytes() < m.plan.device_bytes());
    if (expected.empty())
      expected = y;
    CHECK(norm_error(y, expected) <= 0x1p-7);
  }
}
