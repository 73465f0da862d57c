#include "bound.h"
#include "engine/diffusion/noisy_target.h"
#include "engine/generators/flow/plain_perceptron.h"
#include "kernels/operations/random.h"

using namespace theta;
using namespace theta::test;

namespace {

template <class T> struct Plain {
  PlainPerceptron<T> model;
  MemoryPlan plan{"test"};
  std::optional<Arena> arena;
  Plain(Stream &s, const PlainPerceptronShape &shape, int batch, Mode mode = Mode::train) : model(shape) {
    model.plan_for(plan, {batch}, mode);
    plan.place();
    arena.emplace(s.device(), plan);
  }
};

const PlainPerceptronShape shape{9, 14, 6, 0.3};

} // namespace

TEST_CASE("plain perceptron: widths of h, h/2 and h; gradients agree with central differences in double") {
  Stream s{Device{}};
  const int batch = 5;
  Plain<double> m(s, shape, batch);
  const Layout &layout = m.model.parameters();
  CHECK(layout.places()[4].name == "layers.0.weight");
  CHECK(layout.places()[4].shape == Shape{14, 15}); // the vector, and the time
  CHECK(layout.places()[8].shape == Shape{7, 14});
  CHECK(layout.places()[12].shape == Shape{14, 7});
  CHECK(layout.places()[16].shape == Shape{9, 14});
  const std::size_t n = std::size_t(batch) * 9;
  auto values = random_values<double>(layout.size(), 1, 0.5);
  const auto x = random_values<double>(n, 2), d = random_values<double>(n, 3);
  const Buffer<double> input(s, x), times(s, std::vector<double>{0.1, 0.3, 0.5, 0.7, 0.99});
  const auto out = [&](const std::vector<double> &v, std::uint32_t draw) {
    const Vectors<double> vectors(s, v, {0});
    return to_host(s, m.model.forward(s, vectors.parameters(), input, {.time = times, .seed = 3, .draw = draw}), n);
  };
  const auto weighed = [&](const std::vector<double> &v) {
    const auto y = out(v, 8);
    return std::inner_product(y.begin(), y.end(), d.begin(), 0.0);
  };
  const Vectors<double> vectors(s, values, {0});
  m.model.forward(s, vectors.parameters(), input, {.time = times, .seed = 3, .draw = 8});
  copy(s, m.model.d_out(), d.data(), n * sizeof(double));
  m.model.backward(s, vectors.parameters());
  const auto gradient = vectors.gradient.host();
  for (std::size_t i = 0; i < values.size(); i += 3) {
    const double kept = values[i];
    values[i] = kept + 1e-6;
    const double up = weighed(values);
    values[i] = kept - 1e-6;
    const double down = weighed(values);
    values[i] = kept;
    CHECK(gradient[i] == doctest::Approx((up - down) / 2e-6).epsilon(1e-5).scale(1));
  }
  // Dropout: another draw, another answer, the same one again the same; none where nothing is trained.
  CHECK(out(values, 8) == out(values, 8));
  CHECK(relative_error(out(values, 8), out(values, 30)) > 1e-3);
  Plain<double> infers(s, shape, batch, Mode::infer), never(s, {9, 14, 6}, batch);
  const Buffer<double> again(s, x);
  const auto whole = to_host(s, infers.model.forward(s, vectors.parameters(), again, {.time = times}), n);
  CHECK(whole == to_host(s, never.model.forward(s, vectors.parameters(), again, {.time = times}), n));
  CHECK(relative_error(out(values, 8), whole) > 1e-3);
  CHECK_THROWS_AS(PlainPerceptron<float>({9, 13, 6}), InputError);
}

TEST_CASE("plain perceptron: the same on every device; it begins at zero") {
  const int batch = 4;
  const std::size_t n = std::size_t(batch) * 9;
  same_on_every_device(1e-4, [&](Stream &s) {
    Plain<float> m(s, shape, batch);
    const Vectors<float> vectors(s, random_values<float>(m.model.parameters().size(), 1, 0.5), {0.0f});
    const Buffer<float> input(s, random_values<float>(n, 2)), times(s, random_values<float>(4, 3));
    const auto y =
        to_host(s, m.model.forward(s, vectors.parameters(), input, {.time = times, .seed = 3, .draw = 8}), n);
    const auto d = random_values<float>(n, 4);
    copy(s, m.model.d_out(), d.data(), n * sizeof(float));
    s.synchronize();
    m.model.backward(s, vectors.parameters());
    return Results{y, vectors.gradient.host()};
  });
  Stream s{Device{}};
  Plain<float> m(s, shape, batch);
  const Vectors<float> begun(s, m.model.parameters().initial_values(1, 0), {0.0f});
  const Buffer<float> input(s, random_values<float>(n, 2)), times(s, random_values<float>(4, 3));
  CHECK(to_host(s, m.model.forward(s, begun.parameters(), input, {.time = times}), n) == std::vector<float>(n, 0));
}

TEST_CASE("noise: a network's own is the same at every step, wherever it stands in a batch") {
  Stream s{Device{}};
  const std::size_t size = 11;
  const Buffer<float> x0(s, std::vector<float>(3 * size)), x(s, 3 * size), target(s, 3 * size), t(s, std::size_t(3));
  const auto shown = [&](const std::vector<std::uint32_t> &rows, std::uint32_t draw) {
    noisy_target(s, x, target, t, x0,
                 {.rows = 3,
                  .size = size,
                  .path = NoiseSchedule::uniform,
                  .objective = Objective::eps,
                  .streams = rows.empty() ? nullptr : rows.data()},
                 5, draw, draw);
    return target.host(); // the noise itself
  };
  const auto one = shown({7, 2, 9}, 0), other = shown({2, 9, 7}, 40);
  CHECK(std::equal(one.begin(), one.begin() + 11, other.begin() + 22));
  CHECK(std::equal(one.begin() + 11, one.end(), other.begin()));
  CHECK(one != shown({7, 2, 8}, 0));
  CHECK(shown({}, 0) != shown({}, 3));
  CHECK(shown({4, 5, 6}, 0) == shown({}, 4)); // streams one after another
}
