// The trainers of a zoo share recipe, initial values, batch order and random streams: what they make agrees.
#include "engine/memory/arena.h"
#include "engine/zoo/evaluator.h"
#include "engine/zoo/learning.h"
#include "engine/zoo/wave.h"
#include "small_data.h"
#include "tests/check.h"

using namespace theta;
using namespace theta::test;

namespace {

struct Trained {
  std::vector<float> theta, loss, rows; // rows of the zoo: [networks, checkpoints, V]
  Scores scores;
};

// `steps` steps of the recipe's runs by either trainer, and their scores on the test part.
Trained train(Device device, TrainerKind trainer, const ZooRecipe &recipe, const NetworkShape &shape,
              const Dataset &data, long steps) {
  Wave wave(recipe, shape, recipe.networks, 1, false, device.backend, trainer);
  Evaluator evaluator(shape, data.test.size(), recipe.networks, device.backend,
                      exact_evaluator_for(device.backend, shape));
  MemoryPlan plan("agreement");
  const auto part = learning_of(shape).part(shape, sizes_of(data));
  part->plan(plan);
  wave.plan(plan), evaluator.plan(plan);
  plan.place();
  Stream s(device);
  const Arena a(device, plan);
  const Examples examples = part->upload(s, data);
  wave.start(s, 0, recipe.networks);
  for (long step = 0; step < steps; step += wave.chunk())
    wave.train(s, examples, step, std::min(steps, step + wave.chunk()));
  Trained t{to_host(s, wave.theta(), std::size_t(recipe.networks) * wave.parameters()), wave.losses(s), {}, {}};
  t.rows.resize(std::size_t(recipe.networks) * wave.checkpoints() * wave.parameters());
  for (std::size_t row = 0; row < std::size_t(recipe.networks) * wave.checkpoints(); ++row)
    wave.row_to(s, row, t.rows.data() + row * wave.parameters());
  s.synchronize();
  evaluator.upload(s, data, data.test);
  t.scores = evaluator.score_all(s, t.theta.data(), std::size_t(recipe.networks));
  return t;
}

constexpr auto whole_runs = TrainerKind::whole_runs, layer_by_layer = TrainerKind::layer_by_layer;

ZooRecipe small_recipe(OptimizerKind optimizer) {
  ZooRecipe r{.networks = 3, .steps = 40, .batch = 9, .optimizer = {optimizer}, .lr = 0.05};
  r.schedule = {.kind = LrKind::one_cycle, .warmup = 4};
  r.weight_decay = 0.01, r.activation = {Activation::gelu};
  return r;
}

} // namespace

TEST_CASE("trainers agree: gradient of the first step, and weights after more, whole runs against layer by layer") {
  const Dataset data = small_data();
  const NetworkShape shape{{16, 9, 5, 3}, Activation::gelu};
  for (const auto device : all_devices()) {
    CAPTURE(device.name());
    ZooRecipe recipe = small_recipe(OptimizerKind::sgd);
    recipe.momentum = 0.0, recipe.weight_decay = 0.0, recipe.lr = 1.0;
    recipe.schedule = {};
    recipe.label_smoothing = 0.1;
    const Trained start = train(Device{}, whole_runs, recipe, shape, data, 0);
    const auto gradient = [&](const Trained &t) {
      std::vector<float> g;
      for (std::size_t i = 0; i < t.theta.size(); ++i)
        g.push_back(start.theta[i] - t.theta[i]);
      return g;
    };
    const Trained whole = train(Device{}, whole_runs, recipe, shape, data, 1),
                  layers = train(device, layer_by_layer, recipe, shape, data, 1);
    CHECK(relative_error(gradient(whole), gradient(layers)) <= 1e-5);
    CHECK(relative_error(whole.loss, layers.loss) <= 1e-6);
    for (const auto optimizer : {OptimizerKind::sgd, OptimizerKind::adam, OptimizerKind::adamw}) {
      CAPTURE(name_of(optimizer));
      const Trained a = train(Device{}, whole_runs, small_recipe(optimizer), shape, data, 6),
                    b = train(device, layer_by_layer, small_recipe(optimizer), shape, data, 6);
      CHECK(relative_error(a.theta, b.theta) <= 1e-3); // a coordinate without gradient moves by lr for rounding's sake
      CHECK(relative_error(a.loss, b.loss) <= 1e-4);
      CHECK(relative_error(a.scores.loss, b.scores.loss) <= 1e-4);
      if (device.backend != Backend::cpu)
        CHECK(a.scores.accuracy == b.scores.accuracy);
    }
  }
}

TEST_CASE("trainers: images that differ whenever they are drawn go layer by layer, the same on every device") {
  const Dataset data = small_data();
  const NetworkShape shape{{16, 9, 5, 3}, Activation::gelu};
  ZooRecipe recipe = small_recipe(OptimizerKind::sgd);
  CHECK(trainer_for(Backend::cpu, shape, recipe) == whole_runs);
  const Trained plain = train(Device{}, layer_by_layer, recipe, shape, data, 6);
  recipe.augment = {1, true, 2};
  CHECK(trainer_for(Backend::cpu, shape, recipe) == layer_by_layer);
  const Trained first = train(Device{}, layer_by_layer, recipe, shape, data, 6);
  CHECK(relative_error(first.theta, plain.theta) > 0.01);
  for (const auto device : all_devices())
    CHECK(relative_error(train(device, layer_by_layer, recipe, shape, data, 6).theta, first.theta) <= 1e-4);
}

TEST_CASE("trainers: a moving average of the weights is what a run leaves, as its definition has it") {
  const Dataset data = small_data();
  const NetworkShape shape{{16, 9, 5, 3}, Activation::gelu};
  ZooRecipe recipe = small_recipe(OptimizerKind::sgd);
  recipe.steps = 30, recipe.checkpoints = CheckpointKind::every, recipe.count = 1; // a row after every update
  const Trained plain = train(Device{}, layer_by_layer, recipe, shape, data, 30),
                start = train(Device{}, layer_by_layer, recipe, shape, data, 0);
  recipe.average = 0.7;
  CHECK(trainer_for(Backend::cpu, shape, recipe) == layer_by_layer);
  for (const auto device : all_devices()) {
    const Trained averaged = train(device, layer_by_layer, recipe, shape, data, 30);
    CHECK(relative_error(averaged.theta, plain.theta) <= 1e-4); // training goes on without it
    const std::size_t v = plain.theta.size() / 3;
    for (std::size_t i = 0; i < plain.theta.size(); ++i) {
      double average = start.theta[i];
      for (std::size_t k = 0; k < 30; ++k) {
        const std::size_t at = (i / v * 30 + k) * v + i % v;
        const double decay = std::min(0.7, (2.0 + double(k)) / (11.0 + double(k)));
        average = decay * average + (1 - decay) * double(plain.rows[at]);
        REQUIRE(double(averaged.rows[at]) == doctest::Approx(average).epsilon(1e-3).scale(0.1));
      }
    }
  }
}

TEST_CASE("trainers: weight decay may spare vectors") {
  const Dataset data = small_data();
  const NetworkShape shape{{16, 9, 5, 3}, Activation::gelu};
  ZooRecipe recipe = small_recipe(OptimizerKind::sgd);
  recipe.schedule = {}, recipe.momentum = 0.0, recipe.lr = 0.1, recipe.weight_decay = 0.0;
  const Trained start = train(Device{}, layer_by_layer, recipe, shape, data, 0),
                none = train(Device{}, layer_by_layer, recipe, shape, data, 1);
  recipe.weight_decay = 0.5, recipe.decays_vectors = false;
  for (const auto device : all_devices()) {
    const Trained some = train(device, layer_by_layer, recipe, shape, data, 1);
    const Layout layout = layout_of(shape);
    for (std::size_t i = 0; i < 3; ++i)
      for (const TensorPlace &place : layout.places())
        for (std::size_t e = 0; e < elements_of(place); ++e) {
          const std::size_t at = i * layout.size() + place.offset + e;
          const double decayed = place.shape.size() > 1 ? 0.1 * 0.5 * double(start.theta[at]) : 0;
          REQUIRE(double(some.theta[at]) == doctest::Approx(double(none.theta[at]) - decayed).scale(0.1).epsilon(1e-5));
        }
  }
}

TEST_CASE("trainers: mixup takes two batches and their labels by a share of Beta(a, a), by its definition") {
  const Dataset data = small_data();
  const NetworkShape shape{{16, 3}, Activation::relu}; // logits are linear: their gradient is written down below
  ZooRecipe recipe = small_recipe(OptimizerKind::sgd);
  recipe.schedule = {}, recipe.momentum = 0.0, recipe.lr = 1.0, recipe.weight_decay = 0.0;
  recipe.label_smoothing = 0.2, recipe.augment.mixup = 0.4;
  const std::size_t v = layout_of(shape).size(), batch = std::size_t(recipe.batch);
  const Trained start = train(Device{}, layer_by_layer, recipe, shape, data, 0);
  for (const auto device : all_devices()) {
    const Trained moved = train(device, layer_by_layer, recipe, shape, data, 1);
    for (std::uint32_t n = 0; n < 3; ++n) {
      double share = -1; // Jöhnk's: x = u^(1/a), y = w^(1/a), kept where x + y <= 1
      for (std::uint64_t turn = 0; share < 0; ++turn) {
        const Bits4 bits = philox(1, Purpose::mixture, n, turn);
        const double x = std::pow(double(uniform01(bits.word[0])), 2.5),
                     y = std::pow(double(uniform01(bits.word[1])), 2.5);
        share = x + y <= 1 ? x / (x + y) : -1;
      }
      const float *theta = start.theta.data() + n * v;
      std::vector<double> gradient(v);
      double loss = 0;
      for (std::size_t b = 0; b < batch; ++b) {
        const std::uint32_t one = shuffled(1, Purpose::batch_order, n, b, 90),
                            two = shuffled(1, Purpose::batch_order, n | 1u << 31, b, 90);
        std::vector<double> x(16), z(3), q(3, 0.2 / 3);
        q[data.train.labels[one]] += 0.8 * share, q[data.train.labels[two]] += 0.8 * (1 - share);
        double sum = 0;
        for (std::size_t p = 0; p < 16; ++p)
          x[p] =
              (share * data.train.pixels[one * 16 + p] + (1 - share) * data.train.pixels[two * 16 + p]) * data.scale() +
              data.shift();
        for (std::size_t c = 0; c < 3; ++c) {
          z[c] = double(theta[48 + c]);
          for (std::size_t p = 0; p < 16; ++p)
            z[c] += double(theta[c * 16 + p]) * x[p];
          sum += std::exp(z[c]);
        }
        for (std::size_t c = 0; c < 3; ++c) {
          const double d = (std::exp(z[c]) / sum - q[c]) / double(batch);
          loss -= q[c] * (z[c] - std::log(sum)) / double(batch);
          gradient[48 + c] += d;
          for (std::size_t p = 0; p < 16; ++p)
            gradient[c * 16 + p] += d * x[p];
        }
      }
      CHECK(double(moved.loss[n]) == doctest::Approx(loss).epsilon(1e-5));
      for (std::size_t i = 0; i < v; ++i)
        REQUIRE(double(theta[i] - moved.theta[n * v + i]) == doctest::Approx(gradient[i]).scale(0.1).epsilon(1e-4));
    }
  }
}

TEST_CASE("trainers: products of bf16 layer by layer, near those of fp32, on every device") {
  const Dataset data = small_data();
  const NetworkShape shape{{16, 9, 5, 3}, Activation::gelu};
  ZooRecipe recipe = small_recipe(OptimizerKind::sgd);
  recipe.momentum = 0.0, recipe.weight_decay = 0.0, recipe.lr = 1.0, recipe.schedule = {};
  const Trained start = train(Device{}, layer_by_layer, recipe, shape, data, 0),
                exact = train(Device{}, layer_by_layer, recipe, shape, data, 1);
  recipe.arithmetic = Arithmetic::bf16;
  CHECK(trainer_for(Backend::cpu, shape, recipe) == layer_by_layer);
  CHECK(trainer_for(Backend::cuda, shape, recipe) ==
        trainer_for(Backend::cuda, shape, small_recipe(OptimizerKind::sgd)));
  for (const auto device : all_devices()) {
    Trained half = train(device, layer_by_layer, recipe, shape, data, 1);
    auto wanted = exact.theta;
    for (std::size_t i = 0; i < wanted.size(); ++i)
      wanted[i] -= start.theta[i], half.theta[i] -= start.theta[i];
    // As of whole runs on cuda, below.
    CHECK(norm_error(half.theta, wanted) <= 0.04);
    CHECK(norm_error(half.loss, exact.loss) <= 0.01);
    if (device.backend == Backend::cpu)
      CHECK(norm_error(half.theta, wanted) > 1e-5); // it is not fp32
  }
}

TEST_CASE("trainers agree: whole runs on every device, products of bf16 on cuda") {
  const Dataset data = small_data();
  for (const auto &shape : {NetworkShape{{16, 9, 5, 3}, Activation::gelu}, NetworkShape{{16, 40, 3}, Activation::relu}})
    for (const auto device : all_devices()) {
      CAPTURE(device.name());
      ZooRecipe recipe = small_recipe(OptimizerKind::sgd);
      recipe.activation = {shape.act}, recipe.schedule = {};
      recipe.momentum = 0.0, recipe.weight_decay = 0.0, recipe.lr = 1.0;
      const Trained start = train(Device{}, whole_runs, recipe, shape, data, 0);
      Trained here = train(device, whole_runs, recipe, shape, data, 1),
              cpu = train(Device{}, whole_runs, recipe, shape, data, 1);
      for (std::size_t i = 0; i < start.theta.size(); ++i)
        here.theta[i] -= start.theta[i], cpu.theta[i] -= start.theta[i];
      // Five roundings to 8 bits on the way to a gradient are 0.5 %; the nine examples' shares of it cancel to a part.
      CHECK(norm_error(here.theta, cpu.theta) <= 0.04);
      CHECK(norm_error(here.loss, cpu.loss) <= 0.01);
      recipe = small_recipe(OptimizerKind::adamw);
      recipe.activation = {shape.act}, recipe.dropout = 0.2, recipe.label_smoothing = 0.1, recipe.label_noise = 0.2;
      here = train(device, whole_runs, recipe, shape, data, 5),
      cpu = train(Device{}, whole_runs, recipe, shape, data, 5);
      CHECK(norm_error(here.theta, cpu.theta) <= 0.04);
      CHECK(norm_error(here.loss, cpu.loss) <= 0.02);
    }
}

#if !THETA_SIMT
TEST_CASE("trainers agree: 256 networks trained to the end on images, in accuracy, spread and size of weights") {
  const Dataset data = load_dataset({.pool = 4});
  ZooRecipe recipe{.networks = 256, .steps = 400, .batch = 64, .optimizer = {OptimizerKind::adamw}, .lr = 0.02};
  recipe.schedule.kind = LrKind::cosine;
  recipe.weight_decay = 0.5;
  const NetworkShape shape{{49, 8, 10}, Activation::relu};
  struct Facts {
    double mean = 0, spread = 0, norm = 0;
  };
  const auto facts_of = [](const Trained &t) {
    Facts f;
    const double n = double(t.scores.accuracy.size());
    for (const float a : t.scores.accuracy)
      f.mean += a / n;
    for (const float a : t.scores.accuracy)
      f.spread += (a - f.mean) * (a - f.mean) / n;
    f.spread = std::sqrt(f.spread);
    for (const float w : t.theta)
      f.norm += double(w) * w / n;
    f.norm = std::sqrt(f.norm);
    return f;
  };
  const Facts whole = facts_of(train(Device{}, whole_runs, recipe, shape, data, 400));
  CHECK(whole.mean > 0.7);
  for (const auto device : all_devices())
    for (const auto &[trainer, arithmetic] : {std::pair{layer_by_layer, Arithmetic::fp32},
                                              {layer_by_layer, Arithmetic::bf16},
                                              {whole_runs, Arithmetic::fp32}}) {
      CAPTURE(device.name());
      CAPTURE(int(trainer));
      CAPTURE(name_of(arithmetic));
      recipe.arithmetic = arithmetic;
      const Facts other = facts_of(train(device, trainer, recipe, shape, data, 400));
      CHECK(std::abs(whole.mean - other.mean) <= 0.003);
      CHECK(whole.spread == doctest::Approx(other.spread).epsilon(0.1)); // a deviation of 256 has 4 % of error
      CHECK(whole.norm == doctest::Approx(other.norm).epsilon(0.02));
    }
}
#endif
