#include "data/zoo_reader.h"
#include "data/zoo_writer.h"
#include "engine/generators/subspace/fit.h"
#include "engine/generators/subspace/sample.h"
#include "engine/memory/arena.h"
#include "engine/networks/field.h"
#include "engine/tasks/fields/field_guide.h"
#include "engine/weights/matching.h"
#include "engine/weights/symmetry.h"
#include "small_data.h"
#include "tests/check.h"
#include <numeric>

using namespace theta;
using namespace theta::test;

namespace {

// The principal subspace of networks, rows of a matrix, and what its windows say.
struct Found {
  PrincipalComponents components;
  MemoryPlan plan{"test"};
  std::optional<Arena> arena;
  std::vector<float> mean, directions; // [V], [d, V]

  Found(const std::vector<float> &theta, std::size_t networks, int directions_, std::size_t block,
        std::size_t most_exact = 4096)
      : components(networks, theta.size() / networks, directions_, block, most_exact) {
    const std::size_t v = theta.size() / networks, d = std::size_t(components.directions());
    components.plan(plan);
    plan.place();
    arena.emplace(Device{}, plan);
    const auto read = [&](std::size_t k, std::size_t first, std::size_t count, float *to) {
      std::copy_n(theta.data() + k * v + first, count, to);
    };
    components.fit(read);
    mean.resize(v), directions.resize(d * v);
    components.windows(read,
                       [&](std::size_t first, std::size_t count, const float *m, const float *p, std::size_t step) {
                         std::copy_n(m, count, mean.begin() + std::ptrdiff_t(first));
                         for (std::size_t j = 0; j < d; ++j)
                           std::copy_n(p + j * step, count, directions.begin() + std::ptrdiff_t(j * v + first));
                       });
  }
  // Network k, from its coefficients.
  std::vector<float> again(std::size_t k) const {
    const std::size_t v = mean.size(), d = std::size_t(components.directions());
    std::vector<float> theta = mean;
    for (std::size_t j = 0; j < d; ++j)
      for (std::size_t i = 0; i < v; ++i)
        theta[i] += float(components.coefficients()[k * d + j]) * directions[j * v + i];
    return theta;
  }
};

SubspaceConfig small_subspace() {
  SubspaceConfig c;
  c.flow.width = 16, c.flow.layers = 2, c.flow.features = 8, c.flow.warmup = 2;
  c.flow.recipe.steps = 20, c.flow.recipe.batch = 4, c.flow.recipe.lr = 1e-3;
  c.power = 0.5;
  return c;
}

// Perceptrons 16-6-3 of small_data(), and a column.
std::vector<float> small_zoo(const std::filesystem::path &folder, const NetworkShape &shape, std::size_t networks) {
  const Layout layout = layout_of(shape);
  const std::size_t v = layout.size();
  ZooWriter writer(folder, {layout.places(), v, Dtype::f32, {{"quality", Dtype::f32}}, "{}"}, 4);
  const auto theta = random_values<float>(networks * v, 3, 0.5);
  for (std::size_t k = 0; k < networks; ++k)
    writer.append(theta.data() + k * v, {double(k)});
  writer.finish();
  return theta;
}

std::vector<float> fit_and_sample(Device device, const std::filesystem::path &folder, const SubspaceConfig &config,
                                  const NetworkShape &shape, int batch, int samples) {
  const ZooReader zoo(folder / "zoo");
  const NetworkFacts facts{layout_of(shape).places(), shape};
  const std::size_t v = facts.parameters();
  std::vector<std::size_t> training(zoo.rows() - 1), held_out{zoo.rows() - 1};
  std::iota(training.begin(), training.end(), std::size_t(0));
  Journal journal;
  SubspaceFit(config, facts, training.size(), 5, device.backend)
      .run({device, zoo, training, held_out, folder / "state", folder / "generator", "key", "", journal, {}});
  const Subspace loaded = load_subspace(folder / "generator");
  std::vector<float> made(std::size_t(samples) * v);
  Prompts prompts;
  prompts.told.assign(std::size_t(samples) * config.flow.conditions.size(), 3.0f);
  SubspaceSampler(loaded.config, int(loaded.scale.size()), v, {.steps = 8, .batch = batch, .seed = 9})
      .run(device, loaded, folder / "generator", std::size_t(samples), prompts,
           [&](std::size_t i, std::size_t at, std::span<const float> part) {
             std::copy(part.begin(), part.end(), made.begin() + std::ptrdiff_t(i * v + at));
           });
  return made;
}

} // namespace

TEST_CASE("subspace: mean, spectrum and projections agree with numpy's") {
  const Golden golden("subspace");
  const auto theta = golden.get<float>("theta");
  const auto singular = golden.get<double>("singular_values");
  const Found found(theta, 12, 0, std::size_t(1) << 20);
  REQUIRE(found.components.directions() == 11);
  CHECK(relative_error(found.mean, golden.get<float>("mean")) <= 1e-6);
  // The networks are rounded to float, the products are in double: 300 roundings of 6e-8 of each.
  for (int j = 0; j < 11; ++j)
    CHECK(found.components.deviations()[j] * std::sqrt(12.0) ==
          doctest::Approx(singular[std::size_t(j)]).epsilon(1e-6));
  CHECK(relative_error(found.again(0), golden.get<float>("projector_apply")) <= 1e-5);
}

TEST_CASE("subspace: by iteration, few directions of many networks are those of the whole spectrum") {
  for (const auto &[networks, parameters] : {std::pair{90, 130}, {130, 90}}) {
    const std::size_t n = std::size_t(networks), v = std::size_t(parameters), d = 5;
    // Directions whose deviations halve, in noise of a thousandth.
    const auto along = random_values<float>(n * 12, 3), direction = random_values<float>(12 * v, 4);
    auto theta = random_values<float>(n * v, 5, 1e-3);
    for (std::size_t k = 0; k < n; ++k)
      for (std::size_t j = 0; j < 12; ++j)
        for (std::size_t i = 0; i < v; ++i)
          theta[k * v + i] += along[k * 12 + j] * direction[j * v + i] * float(std::pow(0.5, double(j)));
    for (const std::size_t block : {std::size_t(1) << 26, std::size_t(5000)}) {
      const Found exact(theta, n, int(d), block), found(theta, n, int(d), block, 64);
      CHECK(found.components.directions() == int(d));
      for (std::size_t j = 0; j < d; ++j)
        CHECK(found.components.deviations()[j] == doctest::Approx(exact.components.deviations()[j]).epsilon(1e-9));
      CHECK(relative_error(found.mean, exact.mean) <= 1e-6);
      for (std::size_t j = 0; j < d;
           ++j) { // the same, or the other way about: as the largest part says, of either side
        double product = 0;
        for (std::size_t i = 0; i < v; ++i)
          product += double(found.directions[j * v + i]) * double(exact.directions[j * v + i]);
        CHECK(std::abs(product) == doctest::Approx(1).epsilon(1e-6)); // stored in float
      }
      for (const std::size_t k : {std::size_t(0), n - 1})
        CHECK(relative_error(found.again(k), exact.again(k)) <= 1e-5);
    }
    // Of noise alone directions cannot be told apart, yet what they hold is nearly the most that they may.
    const auto noise = random_values<float>(n * v, 6);
    const Found exact(noise, n, int(d), 5000), found(noise, n, int(d), 5000, 64);
    double most = 0, held = 0;
    for (std::size_t j = 0; j < d; ++j)
      most += std::pow(exact.components.deviations()[j], 2), held += std::pow(found.components.deviations()[j], 2);
    CHECK(held <= most * (1 + 1e-9));
    CHECK(held >= 0.97 * most);
  }
}

TEST_CASE("subspace: by the Gram matrix or the covariance, in windows of any size, directions are orthonormal and hold "
          "the networks") {
  for (const auto &[networks, parameters] : {std::pair{9, 5000}, {40, 7}, {12, 12}, {2, 3}})
    for (const std::size_t block : {std::size_t(1) << 26, std::size_t(1000)}) {
      CAPTURE(networks);
      const std::size_t v = std::size_t(parameters);
      const auto theta = random_values<float>(std::size_t(networks) * v, networks);
      const Found found(theta, std::size_t(networks), 0, block);
      const int d = found.components.directions();
      CHECK(d == std::min(networks - 1, parameters));
      for (int a = 0; a < d; ++a) {
        CHECK((a == 0 || found.components.deviations()[a] <= found.components.deviations()[a - 1]));
        for (int b = 0; b <= a; ++b) {
          double product = 0;
          for (std::size_t i = 0; i < v; ++i)
            product += double(found.directions[std::size_t(a) * v + i]) * found.directions[std::size_t(b) * v + i];
          CHECK(product == doctest::Approx(a == b).epsilon(1e-5));
        }
      }
      for (int k = 0; k < networks; ++k) {
        const std::vector<float> is(theta.begin() + std::ptrdiff_t(std::size_t(k) * v),
                                    theta.begin() + std::ptrdiff_t(std::size_t(k + 1) * v));
        CHECK(relative_error(found.again(std::size_t(k)), is) <= 1e-5);
      }
    }
  // Networks that agree have no directions, and nothing is divided by their deviation.
  const Found same(std::vector<float>(5 * 8, 2.5f), 5, 0, 1000);
  for (int j = 0; j < same.components.directions(); ++j)
    CHECK(same.components.deviations()[j] == 0);
  CHECK(same.again(3) == std::vector<float>(8, 2.5f));
}

TEST_CASE(
    "subspace generator: combinations of what it saw, whatever the batch, on every device; its file whole or not") {
  const NetworkShape shape{{16, 6, 3}};
  const std::size_t v = layout_of(shape).size();
  std::vector<std::vector<float>> made;
  for (const auto device : all_devices())
    for (const bool conditional : {false, true}) {
      CAPTURE(device.name());
      const Scratch folder;
      const auto theta = small_zoo(folder.path() / "zoo", shape, 8);
      SubspaceConfig config = small_subspace();
      if (conditional)
        config.flow.conditions = {"quality"};
      const auto samples = fit_and_sample(device, folder.path(), config, shape, 5, 5);
      made.push_back(samples);
      CHECK(!std::filesystem::exists(folder.path() / ".generator.begun"));
      // In the span: of the seven networks, six directions hold a sample but for rounding.
      const Found found({theta.begin(), theta.begin() + std::ptrdiff_t(7 * v)}, 7, 0, 1000);
      for (std::size_t i = 0; i < 5; ++i) {
        double outside = 0, whole = 0;
        std::vector<double> rest(v);
        for (std::size_t c = 0; c < v; ++c)
          rest[c] = double(samples[i * v + c]) - found.mean[c], whole += rest[c] * rest[c];
        for (int j = 0; j < found.components.directions(); ++j) {
          const float *direction = found.directions.data() + std::size_t(j) * v;
          double along = 0;
          for (std::size_t c = 0; c < v; ++c)
            along += rest[c] * direction[c];
          for (std::size_t c = 0; c < v; ++c)
            rest[c] -= along * direction[c];
        }
        for (const double x : rest)
          outside += x * x;
        CHECK(whole > 1e-3);
        CHECK(outside <= 1e-9 * whole);
      }
      if (!conditional && device.backend == Backend::cpu) {
        const Scratch other;
        small_zoo(other.path() / "zoo", shape, 8);
        CHECK(fit_and_sample(device, other.path(), config, shape, 2, 5) == samples); // the batch does not matter
        const auto coefficients = ZooReader(folder.path() / "coefficients");
        CHECK(coefficients.rows() == 7);
        CHECK(coefficients.numbers("quality") == std::vector<float>{0, 1, 2, 3, 4, 5, 6});
      }
    }
  for (std::size_t i = 2; i < made.size(); ++i) // twenty steps of Adam, as the weight transformer's
    CHECK(relative_error(made[i], made[i - 2]) <= 1e-3);
}

TEST_CASE("subspace generator: aligned, a zoo and the same with its units in other orders are one") {
  const NetworkShape shape{{16, 6, 3}};
  const std::size_t v = layout_of(shape).size();
  SubspaceConfig config = small_subspace();
  config.align = true;
  const Scratch folder, shuffled;
  const auto theta = small_zoo(folder.path() / "zoo", shape, 8);
  const ZooReader zoo(folder.path() / "zoo");
  ZooFormat format = zoo.format();
  ZooWriter writer(shuffled.path() / "zoo", format, 8);
  for (std::size_t k = 0; k < 8; ++k) {
    std::vector<float> row(theta.begin() + std::ptrdiff_t(k * v), theta.begin() + std::ptrdiff_t((k + 1) * v));
    if (k > 0) // the first is the one that others are aligned to
      permute_units(row.data(), shape, 0, {3, 1, 5, 0, 2, 4});
    writer.append(row.data(), {double(k)});
  }
  writer.finish();
  CHECK(fit_and_sample(Device{}, folder.path(), config, shape, 5, 3) ==
        fit_and_sample(Device{}, shuffled.path(), config, shape, 5, 3));
  CHECK(!std::filesystem::exists(folder.path() / ".aligned"));
}

TEST_CASE(
    "subspace generator: what its directions keep of a network is all of a seen one, and of another the nearest") {
  const NetworkShape shape{{16, 6, 3}};
  const std::size_t v = layout_of(shape).size();
  for (const bool align : {false, true}) {
    SubspaceConfig config = small_subspace();
    config.align = align, config.directions = 0;
    const Scratch folder;
    const auto theta = small_zoo(folder.path() / "zoo", shape, 8);
    fit_and_sample(Device{}, folder.path(), config, shape, 5, 3);
    const ZooReader zoo(folder.path() / "zoo");
    const std::vector<float> first(theta.begin(), theta.begin() + std::ptrdiff_t(v));
    const auto keep = projection(folder.path() / "generator", {zoo.format().layout, shape}, first);
    REQUIRE(keep);
    for (std::size_t k = 0; k < 7; ++k) { // with its units where the first has them; the eighth is held out
      std::vector<float> row(v), expected;
      zoo.theta(k, row.data());
      expected = row;
      if (align)
        match_units(expected.data(), first.data(), shape), permute_units(row.data(), shape, 0, {3, 1, 5, 0, 2, 4});
      keep(row.data());
      CHECK(relative_error(row, expected) <= 1e-5);
    }
    std::vector<float> other = random_values<float>(v, 77, 0.5), kept = other;
    if (align)
      match_units(other.data(), first.data(), shape);
    keep(kept.data());
    const Safetensors file(folder.path() / "generator");
    const auto directions = file.read<float>(subspace_directions);
    double lost = 0;
    for (std::size_t i = 0; i < v; ++i)
      lost += std::pow(double(other[i]) - double(kept[i]), 2);
    CHECK(lost > 0.1);
    for (std::size_t k = 0; k < directions.size() / v; ++k) { // what is lost is at right angles to all of them
      double along = 0;
      for (std::size_t i = 0; i < v; ++i)
        along += (double(other[i]) - double(kept[i])) * double(directions[k * v + i]);
      CHECK(std::abs(along) <= 1e-5 * std::sqrt(lost));
    }
  }
}

TEST_CASE(
    "subspace generator: watched from noise to network, its last state is the sample; walks begin and end at noises") {
  const NetworkShape shape{{16, 6, 3}};
  const std::size_t v = layout_of(shape).size(), samples = 7, steps = 8, rows = 2 * steps + 1;
  for (const auto device : all_devices()) {
    CAPTURE(device.name());
    const Scratch folder;
    small_zoo(folder.path() / "zoo", shape, 8);
    const auto alone = fit_and_sample(device, folder.path(), small_subspace(), shape, 3, int(samples));
    const Subspace g = load_subspace(folder.path() / "generator");
    const auto made = [&](SolverOptions options, std::size_t watched, std::vector<float> *way) {
      options.steps = int(steps), options.batch = 3, options.seed = 9;
      std::vector<float> all(samples * v);
      if (way)
        way->assign(watched * rows * v, NAN);
      SubspaceSampler(g.config, int(g.scale.size()), v, options)
          .run(
              device, g, folder.path() / "generator", samples, {},
              [&](std::size_t i, std::size_t at, std::span<const float> part) {
                std::copy(part.begin(), part.end(), all.begin() + std::ptrdiff_t(i * v + at));
              },
              watched,
              [&](std::size_t i, std::size_t at, std::span<const float> part) {
                std::copy(part.begin(), part.end(), way->begin() + std::ptrdiff_t(i * v + at));
              });
      return all;
    };
    std::vector<float> way;
    CHECK(made({}, 5, &way) == alone); // watching changes nothing
    for (std::size_t i = 0; i < 5; ++i) {
      const auto row = [&](std::size_t r) { return way.begin() + std::ptrdiff_t((i * rows + r) * v); };
      CHECK(std::equal(row(rows - 1), row(rows - 1) + std::ptrdiff_t(v), alone.begin() + std::ptrdiff_t(i * v)));
      CHECK(!std::equal(row(0), row(0) + std::ptrdiff_t(v), row(1)));
      for (std::size_t r = 0; r < rows * v; ++r)
        CHECK(std::isfinite(row(0)[std::ptrdiff_t(r)]));
      // The solver's last step goes to what the model takes the state for.
      const std::vector<float> last(row(rows - 1), row(rows - 1) + std::ptrdiff_t(v)),
          taken(row(rows - 2), row(rows - 2) + std::ptrdiff_t(v));
      CHECK(relative_error(taken, last) <= 1e-5);
    }
    const auto walk = made({.between = 3}, 0, nullptr);
    for (const std::size_t i : {0, 1, 2}) // every third is a sample of a noise of its own
      CHECK(std::equal(walk.begin() + std::ptrdiff_t(3 * i * v), walk.begin() + std::ptrdiff_t((3 * i + 1) * v),
                       alone.begin() + std::ptrdiff_t(i * v)));
    CHECK(!std::equal(walk.begin() + std::ptrdiff_t(v), walk.begin() + std::ptrdiff_t(2 * v), walk.begin()));
  }
}

TEST_CASE("field guide: its slope is that of what a field misses, by differences, on every device") {
  NetworkShape shape{{2, 5, 4, 2}};
  shape.kind = network_kind_named("field"), shape.act = Activation::sine, shape.own = FieldSettings{.omega = 3};
  const std::size_t v = layout_of(shape).size(), batch = 3, points = 7;
  const auto inputs = random_values<float>(points * 2, 1), wanted = random_values<float>(2 * points * 2, 2, 0.3),
             theta = random_values<float>(batch * v, 3, 0.4), along = random_values<float>(batch * v, 4);
  for (const auto device : all_devices()) {
    CAPTURE(device.name());
    FieldGuide guide(shape, inputs, wanted, int(batch));
    guide.take(device);
    Stream s(device);
    guide.begin(s, 0);
    const auto at = [&](double step, std::vector<float> *gradient) {
      std::vector<float> moved = theta;
      for (std::size_t i = 0; i < moved.size(); ++i)
        moved[i] += float(step * double(along[i]));
      const Buffer<float> there(s, moved), slope(s, batch * v);
      const auto f = guide.slope(s, slope, there);
      if (gradient)
        *gradient = slope.host();
      return f;
    };
    std::vector<float> gradient;
    at(0, &gradient);
    const double h = 1e-3;
    const auto up = at(h, nullptr), down = at(-h, nullptr);
    for (std::size_t i = 0; i < batch; ++i) {
      double expected = 0;
      for (std::size_t k = 0; k < v; ++k)
        expected += double(gradient[i * v + k]) * double(along[i * v + k]);
      CHECK((up[i] - down[i]) / (2 * h) == doctest::Approx(expected).epsilon(2e-3)); // f in float: 1e-7·f/h
    }
    CHECK(up[1] != up[2]); // the third is guided as the last that is known
  }
}

TEST_CASE("guided samples of a subspace meet what is known of them") {
  NetworkShape shape{{2, 6, 1}};
  shape.kind = network_kind_named("field"), shape.act = Activation::sine, shape.own = FieldSettings{.omega = 3};
  const std::size_t v = layout_of(shape).size(), samples = 4, points = 5;
  for (const auto device : all_devices()) {
    CAPTURE(device.name());
    const Scratch folder;
    small_zoo(folder.path() / "zoo", shape, 30);
    fit_and_sample(device, folder.path(), small_subspace(), shape, 2, 1);
    const Subspace g = load_subspace(folder.path() / "generator");
    const auto inputs = random_values<float>(points * 2, 1, 0.5),
               wanted = random_values<float>(samples * points, 2, 0.2);
    FieldGuide guide(shape, inputs, wanted, 3);
    guide.take(device);
    const auto missed = [&](bool guided) {
      std::vector<float> all(3 * v);
      SubspaceSampler(g.config, int(g.scale.size()), v, {.steps = 10, .batch = 3, .guided = guided, .seed = 9})
          .run(
              device, g, folder.path() / "generator", samples, {},
              [&](std::size_t i, std::size_t at, std::span<const float> part) {
                if (i < 3)
                  std::copy(part.begin(), part.end(), all.begin() + std::ptrdiff_t(i * v + at));
              },
              0, {}, guided ? &guide : nullptr);
      Stream s(device);
      guide.begin(s, 0);
      const Buffer<float> theta(s, all), slope(s, 3 * v);
      const auto f = guide.slope(s, slope, theta);
      return f[0] + f[1] + f[2];
    };
    CHECK(missed(true) < 0.05 * missed(false));
  }
}

TEST_CASE("subspace generator: damaged files are refused") {
  const NetworkShape shape{{16, 6, 3}};
  const Scratch folder;
  small_zoo(folder.path() / "zoo", shape, 8);
  fit_and_sample(Device{}, folder.path(), small_subspace(), shape, 5, 1);
  const auto path = folder.path() / "generator";
  std::filesystem::resize_file(path, std::filesystem::file_size(path) - 4);
  CHECK_THROWS_AS(load_subspace(path), InputError);
  CHECK_THROWS_AS(load_subspace(folder.path() / "zoo/shard-00000.safetensors"), InputError);
}
