#include "bound.h"
#include "engine/generators/flow/fit.h"
#include "engine/generators/flow/sample.h"
#include "engine/pipeline/stages/prompt_report.h"
#include <limits>

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
  }
  std::vector<T> run(Stream &s, const std::vector<T> &values, const std::vector<T> &x, const std::vector<T> &t,
                     const std::vector<T> &told = {0}, const std::vector<T> &from = {0},
                     const std::vector<T> &context = {0}) {
    const Vectors<T> vectors(s, values, {T(0)});
    const Buffer<T> input(s, x), times(s, t), conditions(s, told), start(s, from), vector(s, context);
    return to_host(s, model.forward(s, vectors.parameters(), input, {times, conditions, start, vector}), x.size());
  }
};

const WeightTransformerShape small{
    {{"units", 4, 7, true}, {"chunks", 3, 5, false}, {"biases", 1, 3, false}}, 8, 2, 2, 6};

// Everything that a model may be told, by both ways, and what a block may do.
std::vector<WeightTransformerShape> told_shapes() {
  std::vector<WeightTransformerShape> all;
  for (const ConditionWay way : {ConditionWay::modulation, ConditionWay::tokens})
    for (const bool more : {false, true}) {
      auto shape = small;
      shape.conditions = {{"loss", 0}, {"kind", 3}};
      shape.start = true, shape.way = way, shape.qk_norm = more, shape.recompute = more;
      shape.places = more ? PlaceKind::sinusoidal : PlaceKind::learned;
      all.push_back(shape);
    }
  WeightTransformerShape perceptron{{{"all", 1, 9, false}}, 8, 2, 2, 6};
  perceptron.conditions = {{"loss", 0}, {"kind", 3}};
  perceptron.start = true, perceptron.attends = false, perceptron.context = 5;
  all.push_back(perceptron);
  return all;
}

} // namespace

TEST_CASE("weight transformer: told by modulation or by tokens, gradients agree with central differences in double") {
  Stream s{Device{}};
  const int batch = 3;
  const double nothing = std::numeric_limits<double>::quiet_NaN();
  for (const auto &shape : told_shapes()) {
    CAPTURE(int(shape.way));
    CAPTURE(shape.qk_norm);
    Model<double> m(s, shape, batch);
    const std::size_t n = std::size_t(batch) * m.model.size();
    const auto values = random_values<double>(m.model.parameters().size(), 1, 0.3), x = random_values<double>(n, 2),
               d = random_values<double>(n, 3), from = random_values<double>(n, 4);
    const std::vector<double> t{0.2, 0.5, 0.9}, told{0.3, nothing, 0.8, 2, 0, nothing};
    const auto context = random_values<double>(std::size_t(batch * std::max(1, shape.context)), 5);
    const Vectors<double> vectors(s, values, {0});
    const Buffer<double> input(s, x), times(s, t), conditions(s, told), start(s, from), vector(s, context);
    m.model.forward(s, vectors.parameters(), input, {times, conditions, start, vector});
    copy(s, m.model.d_out(), d.data(), n * sizeof(double));
    m.model.backward(s, vectors.parameters());
    const auto weighed = [&](const std::vector<double> &v, const std::vector<double> &c) {
      const auto y = m.run(s, v, x, t, told, from, c);
      double sum = 0;
      for (std::size_t i = 0; i < n; ++i)
        sum += y[i] * d[i];
      return sum;
    };
    const auto gradient = vectors.gradient.host();
    if (shape.context > 0)
      check_gradient(context, to_host(s, m.model.d_context(), context.size()),
                     [&](const std::vector<double> &c) { return weighed(values, c); });
    check_gradient(values, gradient, [&](const std::vector<double> &v) { return weighed(v, context); });
    // All that is told counts; of its networks, each sample sees its own alone.
    const auto y = m.run(s, values, x, t, told, from, context);
    auto other = told;
    other[0] = 0.4;
    auto changed = m.run(s, values, x, t, other, from, context);
    const auto first = [&](const std::vector<double> &of) {
      return std::vector<double>(of.begin(), of.begin() + std::ptrdiff_t(m.model.size()));
    };
    CHECK(relative_error(first(changed), first(y)) > 1e-4);
    CHECK(std::equal(changed.begin() + std::ptrdiff_t(m.model.size()), changed.end(),
                     y.begin() + std::ptrdiff_t(m.model.size())));
    other = told, other[3] = 1;
    CHECK(relative_error(first(m.run(s, values, x, t, other, from, context)), first(y)) > 1e-4);
    auto elsewhere = from;
    elsewhere[1] += 0.1;
    CHECK(relative_error(first(m.run(s, values, x, t, told, elsewhere, context)), first(y)) > 1e-5);
  }
}

TEST_CASE(
    "weight transformer in bf16: smaller, near fp32, the same on every device; inference is the training's forward") {
  const int batch = 3;
  auto shape = small;
  std::vector<std::vector<float>> results[2];
  std::size_t bytes[2];
  for (const bool narrow : {false, true}) {
    shape.arithmetic = narrow ? Arithmetic::bf16 : Arithmetic::fp32;
    for (const auto device : all_devices()) {
      if (!narrow && device.backend != Backend::cpu)
        continue;
      CAPTURE(device.name());
      Stream s(device);
      Model<float> m(s, shape, batch), infer(s, shape, batch, Mode::infer);
      CHECK(m.model.reads_narrow() == narrow);
      const std::size_t n = std::size_t(batch) * m.model.size();
      const auto values = random_values<float>(m.model.parameters().size(), 1, 0.3), x = random_values<float>(n, 2);
      const std::vector<float> t{0.2f, 0.5f, 0.9f};
      const Vectors<float> vectors(s, values, {0});
      const Buffer<float> input(s, x), times(s, t);
      const auto y = to_host(s, m.model.forward(s, vectors.parameters(), input, {times}), n);
      CHECK(infer.run(s, values, x, t) == y);
      const auto d = random_values<float>(n, 3);
      copy(s, m.model.d_out(), d.data(), n * sizeof(float));
      m.model.backward(s, vectors.parameters());
      bytes[narrow] = m.plan.device_bytes();
      if (results[narrow].empty())
        results[narrow] = {y, vectors.gradient.host()};
      // Between devices sums differ in their last bits, and what is rounded after them by a unit of 2^-8 here and
      // there.
      CHECK(norm_error(y, results[narrow][0]) <= 0x1p-7);
      CHECK(norm_error(vectors.gradient.host(), results[narrow][1]) <= 0x1p-6);
    }
  }
  CHECK(norm_error(results[1][0], results[0][0]) <= 0x1p-6);
  CHECK(norm_error(results[1][0], results[0][0]) > 1e-5); // it is bf16
  CHECK(norm_error(results[1][1], results[0][1]) <= 0x1p-5);
  CHECK(bytes[1] < bytes[0] * 3 / 4);
}

TEST_CASE("weight transformer: recomputed blocks take less memory and give the same gradients, bit for bit") {
  Stream s{Device{}};
  const int batch = 4;
  auto shape = small;
  shape.layers = 4;
  std::vector<std::vector<float>> gradients;
  std::vector<std::size_t> bytes;
  for (const bool recompute : {false, true}) {
    shape.recompute = recompute;
    Model<float> m(s, shape, batch);
    const std::size_t n = std::size_t(batch) * m.model.size();
    const Vectors<float> vectors(s, random_values<float>(m.model.parameters().size(), 1, 0.3), {0});
    const Buffer<float> x(s, random_values<float>(n, 2)), t(s, std::vector<float>{0.1f, 0.4f, 0.6f, 0.8f});
    m.model.forward(s, vectors.parameters(), x, {t});
    const auto d = random_values<float>(n, 3);
    copy(s, m.model.d_out(), d.data(), n * sizeof(float));
    m.model.backward(s, vectors.parameters());
    gradients.push_back(vectors.gradient.host()), bytes.push_back(m.plan.device_bytes());
  }
  CHECK(gradients[0] == gradients[1]);
  CHECK(bytes[1] < bytes[0] * 3 / 4);
}

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

namespace {

// A form of condition of somebody's own: the logarithm of a column.
Condition logarithm(const std::string &column) {
  return {.name = "log." + column, .columns = {column}, .value = [](const float *wanted, const float *) {
            return std::log(wanted[0]);
          }};
}
const bool added_logarithm = add_condition_form("log.", logarithm);

} // namespace

TEST_CASE("conditions: columns, starts, differences, labels, and a form of one's own") {
  CHECK(added_logarithm);
  const Conditions conditions({"test_loss", "start.test_loss", "delta.test_loss", "optimizer:3", "log.lr"});
  CHECK(conditions.columns() == std::vector<std::string>{"test_loss", "optimizer", "lr"});
  CHECK(conditions.of_start());
  CHECK(conditions.shapes()[3].classes == 3);
  // Two networks: columns one behind the other.
  const NetworkSource::Facts facts{{0.5f, 1.5f, 2, 0, 1, 100}, {2, 3, 2, 0, 1, 100}};
  const auto ranges = conditions.measure({facts});
  CHECK(ranges[0].low == 0.5f);
  CHECK(ranges[0].high == 1.5f);
  CHECK(ranges[2].low == -1.5f);
  std::vector<float> told(10 * 2);
  conditions.tell(told.data(), 4, facts, 2, ranges);
  CHECK(std::vector<float>(told.begin(), told.begin() + 8) == std::vector<float>{0, 0, 1, 1, 0, 0, 1, 1});
  CHECK(std::vector<float>(told.begin() + 12, told.begin() + 16) == std::vector<float>{2, 2, 0, 0}); // labels
  CHECK(std::vector<float>(told.begin() + 16, told.end()) == std::vector<float>{0, 0, 1, 1});

  // A fifth of rows is told nothing, and of the others a fifth of each condition is left out.
  const int rows = 20000;
  std::vector<float> all(5 * rows, 1);
  drop_conditions(all.data(), 5, rows, 0.2, 1, 0);
  int nothing = 0, first = 0;
  for (int r = 0; r < rows; ++r) {
    int missing = 0;
    for (int k = 0; k < 5; ++k)
      missing += std::isnan(all[std::size_t(k * rows + r)]);
    nothing += missing == 5, first += std::isnan(all[std::size_t(r)]);
  }
  CHECK(nothing == doctest::Approx(rows * (0.2 + 0.8 * std::pow(0.2, 5))).epsilon(0.06)); // 57 is one deviation
  CHECK(first == doctest::Approx(rows * 0.36).epsilon(0.04));

  CHECK_THROWS_AS(Conditions({"test_loss", "test_loss"}), InputError);
  CHECK_THROWS_AS(Conditions({"optimizer:1"}), InputError);
  CHECK_THROWS_AS(Conditions({""}), InputError);
  CHECK_THROWS_AS(Conditions({"optimizer:2"}).measure({{{2, 0}, {}}}), InputError);
}

TEST_CASE("tensors counted by the roots of their sizes: shares of a loss, whatever the tokens") {
  NetworkShape shape;
  shape.widths = {5, 3, 4, 2}, shape.kind = network_kind_named("mlp");
  const NetworkFacts facts{layout_of(shape).places(), shape};
  FlowConfig config;
  for (const char *tokens : {"neuron", "layer", "chunk"}) {
    config.tokens = tokens;
    const TokenCoder coder(config, facts);
    const auto &place = coder.tokens().place;
    const auto weight = coder.tensor_weights();
    double roots = 0, elements = 0;
    for (const TensorPlace &tensor : facts.layout)
      roots += std::sqrt(double(elements_of(tensor))), elements += double(elements_of(tensor));
    for (const TensorPlace &tensor : facts.layout) {
      double share = 0;
      for (std::size_t at = 0; at < place.size(); ++at)
        if (place[at] >= int(tensor.offset) && place[at] < int(tensor.offset + elements_of(tensor)))
          share += double(weight[at]) / elements;
      CHECK(share == doctest::Approx(std::sqrt(double(elements_of(tensor))) / roots).epsilon(1e-5));
    }
    for (std::size_t at = 0; at < place.size(); ++at)
      CHECK((place[at] < 0) == (weight[at] == 0));
  }
}

TEST_CASE("ranks: shares of what is below and half of what is equal, of numbers that are among the others or not") {
  CHECK(ranks_among({3, 1, 2, 0, 9, 1.5f}, {1, 2, 2, 3}) == std::vector<float>{0.875f, 0.125f, 0.5f, 0, 1, 0.25f});
}

TEST_CASE("prompts: alignment is 1 where they are met, 0 for what does not listen; texts are checked") {
  CHECK(prompt_alignment({1, 2, 3}, {1, 2, 3}) == 1);
  CHECK(prompt_alignment({1, 2, 3}, {2, 2, 2}) == 0);
  CHECK(prompt_alignment({1, 2, 3}, {1.5f, 2, 2.5f}) == doctest::Approx(0.75));
  CHECK(prompt_of("test_loss=0.5..2").to == 2);
  CHECK(prompt_of("lr=1e-3").from == 1e-3);
  for (const char *bad : {"test_loss", "=1", "test_loss=", "test_loss=1..", "test_loss=a", "test_loss=1x"})
    CHECK_THROWS_AS(prompt_of(bad), InputError);
}
