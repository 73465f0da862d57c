#include "bound.h"
#include "engine/networks/layered_program.h"
#include "kernels/operations/reduce.h"
#include "kernels/operations/softmax_cross_entropy.h"

using namespace theta;
using namespace theta::test;

namespace {

// `copies` of v, one after another.
template <class T> std::vector<T> repeated(const std::vector<T> &v, int copies) {
  std::vector<T> all;
  for (int i = 0; i < copies; ++i)
    all.insert(all.end(), v.begin(), v.end());
  return all;
}

} // namespace

TEST_CASE("mlp agrees with PyTorch: logits, loss, every gradient, for each of three networks beside one another") {
  const Golden golden("net_mlp");
  in_every_precision([&]<class T>(T, Stream &s) {
    const int batch = golden.side("x", 0), copies = 3;
    LayeredProgram<T> mlp({{784, 12, 12, 10}, Activation::relu});
    const std::size_t v = mlp.layout().size();
    MemoryPlan plan("test");
    mlp.plan(plan, true, copies, batch);
    plan.place();
    const Arena arena(s.device(), plan);
    const Buffer<T> theta(s, repeated(flat<T>(golden, mlp.layout(), "param."), copies)),
        x(s, repeated(golden.get<T>("x"), copies));
    const Buffer<T> gradient(s, std::vector<T>(v * copies)), row_loss(s, std::size_t(copies * batch)),
        loss(s, std::vector<T>(copies));
    const Buffer<std::uint8_t> label(s, golden.labels("label"));
    T *logits = mlp.forward(s, theta, x);
    CHECK(relative_error(to_host(s, logits + batch * 10, std::size_t(batch * 10)), golden.get<T>("output")) <=
          golden_tolerance<T>);
    softmax_cross_entropy<T>(s, row_loss, logits, logits, label, {copies * batch, 10, batch, 0, 1.0 / batch});
    row_sum<T>(s, loss, row_loss, copies, std::size_t(batch), 1.0 / batch);
    mlp.backward(s, theta, gradient, logits, x);
    const auto all = gradient.host();
    for (int i = 0; i < copies; ++i) {
      CHECK(double(loss.host()[std::size_t(i)]) ==
            doctest::Approx(golden.get<T>("loss")[0]).epsilon(golden_tolerance<T>));
      check_tensors(std::vector<T>(all.begin() + std::ptrdiff_t(v * i), all.begin() + std::ptrdiff_t(v * (i + 1))),
                    golden, mlp.layout(), "grad.", golden_tolerance<T>);
    }
  });
}

TEST_CASE("mlp with sines agrees with PyTorch's SIREN") {
  const Golden golden("net_siren");
  in_every_precision([&]<class T>(T, Stream &s) {
    const int batch = golden.side("x", 0);
    LayeredProgram<T> siren({{2, 16, 16, 1}, Activation::sine});
    MemoryPlan plan("test");
    siren.plan(plan, true, 1, batch);
    plan.place();
    const Arena arena(s.device(), plan);
    auto target = golden.get<T>("target"), expected = golden.get<T>("output");
    for (auto *values : {&target, &expected})
      for (T &t : *values)
        t -= T(0.5); // the field's output is the network's plus 0.5
    const Buffer<T> theta(s, flat<T>(golden, siren.layout(), "param.")), x(s, golden.get<T>("x")), goal(s, target);
    const Buffer<T> gradient(s, std::vector<T>(siren.layout().size())), loss(s, std::size_t(1)),
        workspace(s, partial_sums);
    T *out = siren.forward(s, theta, x);
    // Each of the two sines multiplies a rounding error of its argument by 30.
    const double tolerance = std::is_same_v<T, double> ? 1e-10 : 30 * 30 * 0x1p-24 * 4;
    CHECK(relative_error(to_host(s, out, std::size_t(batch)), expected) <= tolerance);
    mean_squared_error<T>(s, loss, out, out, goal, std::size_t(batch), workspace);
    siren.backward(s, theta, gradient, out, x);
    check_tensors(gradient.host(), golden, siren.layout(), "grad.", tolerance);
  });
}

TEST_CASE("mlp: gradients agree with central differences in double, for every activation") {
  Stream s{Device{}};
  for (const auto act : {Activation::relu, Activation::leaky_relu, Activation::elu, Activation::silu, Activation::gelu,
                         Activation::tanh, Activation::sine}) {
    CAPTURE(name_of(act));
    const int networks = 2, batch = 5;
    LayeredProgram<double> mlp({{7, 6, 5, 3}, act});
    MemoryPlan plan("test");
    mlp.plan(plan, true, networks, batch);
    plan.place();
    const Arena arena(Device{}, plan);
    std::vector<double> start;
    for (std::uint32_t i = 0; i < 2; ++i)
      for (const float x : mlp.layout().initial_values(5, i))
        start.push_back(x *
                        (act == Activation::sine ? 0.1 : 1)); // sin(30 x) turns fast: h²·30³ stays below the tolerance
    const Buffer<double> x(s, random_values<double>(networks * batch * 7, 1)),
        row_loss(s, std::size_t(networks * batch));
    const Buffer<std::uint8_t> label(s, std::vector<std::uint8_t>{0, 1, 2, 2, 1});
    const auto run = [&](const double *theta) {
      double *logits = mlp.forward(s, theta, x);
      softmax_cross_entropy<double>(s, row_loss, logits, logits, label, {networks * batch, 3, batch, 0, 1});
      double sum = 0;
      for (const double l : row_loss.host())
        sum += l;
      return std::pair{sum, logits};
    };
    const Buffer<double> theta(s, start), gradient(s, std::vector<double>(start.size()));
    const auto d_logits = run(theta).second;
    mlp.backward(s, theta, gradient, d_logits, x);
    check_gradient(start, gradient.host(),
                   [&](const std::vector<double> &values) { return run(Buffer<double>(s, values)).first; });
  }
}

TEST_CASE("mlp: inference on shared rows is the training forward, on every device") {
  same_on_every_device(1e-5, [&](Stream &s) {
    const int networks = 3, rows = 9;
    LayeredProgram<float> mlp({{11, 7, 4}, Activation::silu});
    std::vector<float> values;
    for (std::uint32_t i = 0; i < 3; ++i)
      for (const float v : mlp.layout().initial_values(5, i))
        values.push_back(v);
    const auto rows_host = random_values<float>(rows * 11, 1);
    const Buffer<float> theta(s, values), x(s, rows_host), repeated_x(s, repeated(rows_host, networks));
    MemoryPlan training("test"), inference("test");
    mlp.plan(training, true, networks, rows);
    training.place();
    const Arena arena(s.device(), training);
    const auto trained = to_host(s, mlp.forward(s, theta, repeated_x), std::size_t(networks * rows * 4));
    LayeredProgram<float> other(mlp.shape());
    other.plan(inference, false, networks, rows + 3);
    inference.place();
    const Arena arena2(s.device(), inference);
    const auto inferred = to_host(s, other.infer(s, theta, x, networks, rows), std::size_t(networks * rows * 4));
    CHECK(relative_error(inferred, trained) <= 1e-6);
    return Results{inferred};
  });
}

TEST_CASE("mlp: names, shapes and initial values are PyTorch's") {
  const Layout layout = layout_of({{784, 32, 32, 10}, Activation::relu});
  CHECK(layout.size() == 26'506);
  CHECK(layout.places()[2].name == "2.weight");
  CHECK(layout.places()[4].shape == Shape{10, 32});
  const auto values = layout.initial_values(1, 0);
  const auto largest = *std::max_element(values.begin(), values.begin() + 784 * 32);
  CHECK(largest <= 1 / std::sqrt(784.0));
  CHECK(largest > 0.999 / std::sqrt(784.0));
  CHECK(layout_of({{196, 16, 10}, Activation::relu, Initialisation::he}).initial_values(1, 0)[196 * 16] == 0);
  CHECK_THROWS_AS(layout_of({{5}, Activation::relu}), InputError);
  CHECK_THROWS_AS(layout_of({{5, 0, 2}, Activation::relu}), InputError);
}
