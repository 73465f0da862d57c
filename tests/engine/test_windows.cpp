#include "bound.h"
#include "data/zoo_reader.h"
#include "data/zoo_writer.h"
#include "engine/generators/windows/fit.h"
#include "engine/generators/windows/sample.h"
#include "engine/training/interrupt.h"
#include "small_data.h"
#include <numeric>

using namespace theta;
using namespace theta::test;

namespace {

constexpr RecurrenceShape shape{.token = 5, .width = 6, .blocks = 2, .features = 4};

template <class T> struct WindowModel {
  Recurrence<T> model{shape};
  MemoryPlan plan{"test"};
  std::optional<Arena> arena;
  WindowModel(Stream &s, int batch, int length, Mode mode = Mode::train) {
    model.plan(plan, batch, length, mode);
    plan.place();
    arena.emplace(s.device(), plan);
  }
};

WindowsConfig small_windows() {
  WindowsConfig c;
  c.chunk = 16, c.window = 3, c.state = 12, c.blocks = 2;
  c.flow.width = 16, c.flow.layers = 2, c.flow.features = 8, c.flow.warmup = 2;
  c.flow.recipe.steps = 14, c.flow.recipe.batch = 4, c.flow.recipe.lr = 1e-3;
  return c;
}

constexpr std::size_t v = 121; // 8 tokens, the last filled up; 3 windows, the last too

void small_zoo(const std::filesystem::path &folder, int networks) {
  ZooWriter writer(folder, {{{"0.weight", {10, 11}, 0}, {"0.bias", {11}, 110}}, v, Dtype::f32, {}, "{}"}, 5);
  const auto centre = random_values<float>(v, 1);
  for (int r = 0; r < networks; ++r) {
    auto theta = random_values<float>(v, 10 + r, 0.1);
    for (std::size_t i = 0; i < v; ++i)
      theta[i] += centre[i];
    writer.append(theta.data(), {});
  }
  writer.finish();
}

void fit(Device device, const std::filesystem::path &folder, const WindowsConfig &config) {
  const ZooReader zoo(folder / "zoo");
  std::vector<std::size_t> all(zoo.rows()), none;
  std::iota(all.begin(), all.end(), std::size_t(0));
  Journal journal;
  WindowsFit(config, v, all.size(), 5)
      .run({device, zoo, all, none, folder / "state", folder / "generator", "key", "", journal, {}});
}

std::vector<float> sample(Device device, const std::filesystem::path &folder, int batch, int window,
                          SolverKind solver = SolverKind::heun) {
  Windows w = load_windows(folder / "generator");
  w.config.window = window;
  std::vector<float> made(5 * v);
  WindowsSampler(w.config, v, {.solver = solver, .steps = 4, .batch = batch, .seed = 9})
      .run(device, w, folder / "generator", 5, [&](std::size_t i, std::size_t at, std::span<const float> part) {
        std::copy(part.begin(), part.end(), made.begin() + std::ptrdiff_t(i * v + at));
      });
  return made;
}

} // namespace

TEST_CASE("recurrence: gradients agree with central differences in double; a sequence in windows is one") {
  Stream s{Device{}};
  const int batch = 3, length = 4;
  WindowModel<double> m(s, batch, length);
  const std::size_t rows = std::size_t(batch * length), n = rows * std::size_t(shape.width),
                    states = std::size_t(batch) * m.model.states();
  const auto values = random_values<double>(m.model.parameters().size(), 1, 0.4),
             before0 = random_values<double>(rows * std::size_t(shape.token), 2), d = random_values<double>(n, 3);
  std::vector<double> places(rows);
  std::iota(places.begin(), places.end(), 0.0);
  const Vectors<double> vectors(s, values, {0});
  const Buffer<double> before(s, before0), place(s, places), state(s, random_values<double>(states, 4)),
      next(s, states), d_context(s, d);
  m.model.forward(s, vectors.parameters(), before, place, state, next);
  m.model.backward(s, vectors.parameters(), d_context, before, state);
  check_gradient(values, vectors.gradient.host(), [&](const std::vector<double> &changed) {
    const Vectors<double> with(s, changed, {0});
    const auto y = to_host(s, m.model.forward(s, with.parameters(), before, place, state, next), n);
    double sum = 0;
    for (std::size_t i = 0; i < n; ++i)
      sum += y[i] * d[i];
    return sum;
  });

  // Token by token, each beginning with the states that the last one left.
  WindowModel<double> whole(s, 1, length, Mode::infer), one(s, 1, 1, Mode::infer);
  const Buffer<double> carried(s, std::vector<double>(m.model.states())),
      zero(s, std::vector<double>(m.model.states()));
  const auto together = to_host(s, whole.model.forward(s, vectors.parameters(), before, place, zero, nullptr),
                                std::size_t(length * shape.width));
  std::vector<double> apart;
  for (int t = 0; t < length; ++t) {
    const auto context =
        to_host(s, one.model.forward(s, vectors.parameters(), before + t * shape.token, place + t, carried, carried),
                std::size_t(shape.width));
    apart.insert(apart.end(), context.begin(), context.end());
  }
  CHECK(relative_error(apart, together) <= 1e-13);
}

TEST_CASE("windows: one generator on every device; samples do not depend on the window or the batch") {
  std::vector<std::vector<float>> made;
  for (const auto device : all_devices())
    for (const auto normalizer : {NormalizerKind::coordinate, NormalizerKind::tensor, NormalizerKind::global}) {
      CAPTURE(device.name());
      CAPTURE(name_of(normalizer));
      const Scratch folder;
      small_zoo(folder.path() / "zoo", 6);
      WindowsConfig config = small_windows();
      config.normalizer = normalizer;
      fit(device, folder.path(), config);
      CHECK(!std::filesystem::exists(folder.path() / ".generator.begun"));
      made.push_back(sample(device, folder.path(), 5, 3));
      if (device.backend == Backend::cpu) {
        CHECK(sample(device, folder.path(), 5, 1) == made.back());
        CHECK(sample(device, folder.path(), 2, 100) == made.back());
        const auto random = sample(device, folder.path(), 5, 3, SolverKind::ddpm);
        CHECK(random != made.back());
        CHECK(sample(device, folder.path(), 2, 2, SolverKind::ddpm) == random);
      }
      // By what the zoo is standardised, samples have its mean.
      double mean = 0, expected = 0;
      const ZooReader zoo(folder.path() / "zoo");
      std::vector<float> row(v);
      zoo.theta(0, row.data());
      for (std::size_t i = 0; i < v; ++i)
        mean += made.back()[i] / double(v), expected += row[i] / double(v);
      CHECK(std::isfinite(mean));
      if (normalizer == NormalizerKind::coordinate)
        CHECK(mean == doctest::Approx(expected).epsilon(0.2));
    }
  for (std::size_t i = 3; i < made.size(); ++i) // fourteen steps of Adam
    CHECK(relative_error(made[i], made[i - 3]) <= 1e-3);
}

// One vector must be learned by heart: what autoencoders of large vectors are reported to fail at.
TEST_CASE("windows: a single network is learned, and comes back") {
  const Scratch folder;
  small_zoo(folder.path() / "zoo", 1);
  WindowsConfig config = small_windows();
  config.normalizer = NormalizerKind::global; // of one network each coordinate is its own mean
  config.input_noise = 0.05;
  config.flow.width = 64, config.state = 32, config.flow.recipe.steps = 1500, config.flow.recipe.lr = 3e-3;
  config.flow.recipe.ema_decay = 0.99;
  fit(Device{}, folder.path(), config);
  Windows w = load_windows(folder.path() / "generator");
  std::vector<float> made(v), row(v);
  WindowsSampler(w.config, v, {.steps = 20, .batch = 1, .seed = 9})
      .run(Device{}, w, folder.path() / "generator", 1, [&](std::size_t, std::size_t at, std::span<const float> part) {
        std::copy(part.begin(), part.end(), made.begin() + std::ptrdiff_t(at));
      });
  ZooReader(folder.path() / "zoo").theta(0, row.data());
  CHECK(norm_error(made, row) <= 0.1);
}

TEST_CASE("windows: memory does not grow with V; plans are what arenas take") {
  const WindowsConfig config = small_windows();
  for (const std::size_t parameters : {std::size_t(1000), std::size_t(1) << 40}) {
    const WindowsFit fit(config, parameters, 10, 1);
    const WindowsSampler sampler(config, parameters, {.batch = 2});
    CHECK(fit.plan().device_bytes() == WindowsFit(config, 2000, 10, 1).plan().device_bytes());
    CHECK(sampler.plan().device_bytes() == WindowsSampler(config, 2000, {.batch = 2}).plan().device_bytes());
    CHECK(sampler.plan().host_bytes() == WindowsSampler(config, 2000, {.batch = 2}).plan().host_bytes());
    CHECK(Arena(Device{}, fit.plan()).device_bytes() == fit.plan().device_bytes());
  }
}
