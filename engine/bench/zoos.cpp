// Trainings of zoos: a wave of networks for a number of steps on random images.
#include "cases.h"
#include "engine/memory/arena.h"
#include "engine/networks/cnn.h"
#include "engine/networks/field.h"
#include "engine/networks/gpt.h"
#include "engine/networks/kind.h"
#include "engine/networks/resnet.h"
#include "engine/networks/vit.h"
#include "engine/zoo/learning.h"
#include "engine/zoo/wave.h"
#include <cmath>

namespace theta {

namespace {

// Random images as many as Fashion-MNIST trains on, signals on the points that a field looks at, or a MiB of text.
DatasetSizes sizes_for(const NetworkShape &shape, int points, int channels) {
  if (is_text(shape))
    return {1 << 20, 0, 0, 1, 1, 1, 1, alphabet_of(shape), {"one"}};
  if (points == 0)
    return {55'000, 0, 0, inputs_of(shape) / channels, outputs_of(shape), 2, channels};
  return {4096, 0, 0, points, 1, dimensions_of(shape)};
}

Dataset random_data(const DatasetSizes &sizes) {
  Dataset data{.name = "random", .side = int(std::lround(std::sqrt(double(sizes.pixels)))), .classes = sizes.classes};
  data.mean = 0.5, data.std = 0.29;
  const auto bits = [](std::size_t i) { return i * 0x9E3779B97F4A7C15u; };
  if (sizes.dimensions == 1) {
    for (std::size_t i = 0; i < sizes.train; ++i)
      data.text.train.codes.push_back(std::uint8_t((bits(i) >> 40) % std::size_t(sizes.vocabulary)));
    data.text.train.begins.push_back(std::uint32_t(sizes.train)), data.text.classes = sizes.names;
    data.text.validation = data.text.test = data.text.train;
    return data;
  }
  if (sizes.dimensions == 3)
    for (int i = 0; i < 3 * sizes.pixels; ++i)
      data.points.push_back(float(bits(std::size_t(i)) >> 40) * 0x1p-23f - 1);
  for (std::size_t i = 0; i < sizes.train * std::size_t(sizes.pixels); ++i)
    data.train.pixels.push_back(std::uint8_t(bits(i) >> 56));
  for (std::size_t i = 0; i < sizes.train; ++i)
    data.train.labels.push_back(std::uint8_t((bits(i) >> 40) % std::size_t(sizes.classes)));
  return data;
}

struct ZooTraining {
  DatasetSizes sizes;
  std::unique_ptr<TrainingPart> part;
  Wave wave;
  MemoryPlan plan{"bench.zoo"};
  std::optional<Arena> arena;
  Examples examples;
  int networks;

  ZooTraining(const ZooRecipe &r, const NetworkShape &shape, int points, int n, Backend backend, TrainerKind kind,
              int channels = 1)
      : sizes(sizes_for(shape, points, channels)), part(learning_of(shape).part(shape, sizes)),
        wave(r, shape, n, 1, false, backend, kind), networks(n) {
    part->plan(plan);
    wave.plan(plan);
    plan.place();
  }

  void bind(Stream &s) {
    arena.emplace(s.device(), plan);
    examples = part->upload(s, random_data(sizes));
    wave.start(s, 0, networks);
  }
};

struct Training {
  std::string name;
  NetworkShape shape;
  int batch;
  OptimizerKind optimizer = OptimizerKind::adam;
  int points = 0; // of a field's signal
};

BenchCase training(const Training &t, Backend backend, TrainerKind kind) {
  // Every core has the same number of networks; on a GPU, every multiprocessor some.
  const int networks = backend == Backend::cpu ? 64 : kind == TrainerKind::whole_runs ? 2112 : 1024;
  ZooRecipe recipe{.steps = 1 << 20,
                   .batch = t.batch,
                   .optimizer = {t.optimizer},
                   .activation = {t.shape.act},
                   .initialisation = {t.shape.initialisation}};
  recipe.lr = 1e-3, recipe.weight_decay = 1e-2;
  const auto work = whole_runs_of(t.shape, t.batch);
  const long steps = Wave(recipe, t.shape, networks, 1, false, backend, kind).chunk();
  const double all = double(steps) * networks;
  BenchCase c{t.name, work->bytes_of_a_step() * all, work->flops_of_a_step() * all, {}};
  c.steps = all;
  c.half_products = backend == Backend::cuda && kind == TrainerKind::whole_runs;
  c.prepare = [=](Stream &s) -> std::function<void(int)> {
    auto zoo = std::make_shared<ZooTraining>(recipe, t.shape, t.points, networks, backend, kind);
    zoo->bind(s);
    return [&s, zoo, steps](int i) { zoo->wave.train(s, zoo->examples, i * steps, (i + 1) * steps); };
  };
  return c;
}

// Networks layer by layer, all of the device on them.
BenchCase backbone(std::string name, const NetworkShape &shape, int batch, int channels, Backend backend,
                   Arithmetic arithmetic, OptimizerKind optimizer = OptimizerKind::sgd, int networks = 1) {
  ZooRecipe recipe{.steps = 1 << 20,
                   .batch = batch,
                   .optimizer = {optimizer},
                   .activation = {shape.act},
                   .initialisation = {shape.initialisation}};
  recipe.lr = optimizer == OptimizerKind::sgd ? 1e-2 : 1e-3, recipe.momentum = 0.9, recipe.arithmetic = arithmetic;
  if (arithmetic == Arithmetic::bf16)
    name += "_bf16";
  BenchCase c{name, 0, shape.kind->program(shape).step_flops(batch) * networks, {}};
  c.steps = networks, c.half_products = arithmetic == Arithmetic::bf16;
  c.prepare = [=](Stream &s) -> std::function<void(int)> {
    auto zoo =
        std::make_shared<ZooTraining>(recipe, shape, 0, networks, backend, TrainerKind::layer_by_layer, channels);
    zoo->bind(s);
    return [&s, zoo](int i) { zoo->wave.train(s, zoo->examples, i, i + 1); };
  };
  return c;
}

} // namespace

std::vector<BenchCase> zoo_cases(bool gpu) {
  const Backend backend = gpu ? Backend::cuda : Backend::cpu;
  const std::string device = gpu ? "" : "_cpu";
  const NetworkShape siren{{2, 32, 32, 1}, Activation::sine, Initialisation::siren, network_kind_named("field")};
  const NetworkShape occupancy{
      {27, 128, 128, 128, 1}, Activation::relu, Initialisation::pytorch, network_kind_named("field"), FieldSettings{4}};
  NetworkShape cnn{{20, 10}, Activation::tanh, Initialisation::pytorch, network_kind_named("cnn")};
  cnn.own = CnnSettings{28, 1, {{8, 5, 2}, {6, 5, 2}, {4, 2, 1}}};
  const std::vector<Training> trainings{
      {"zoo_mlp" + device + "_784-32-32-10_b128_adam", {{784, 32, 32, 10}}, 128},
      {"zoo_mlp" + device + "_784-10-10_b128_sgd", {{784, 10, 10}}, 128, OptimizerKind::sgd},
      {"zoo_mlp" + device + "_196-16-10_b128_adam", {{196, 16, 10}}, 128},
      {"zoo_mlp" + device + "_49-8-10_b64_adamw", {{49, 8, 10}}, 64, OptimizerKind::adamw},
      {"zoo_siren" + device + "_2-32-32-1_784pts", siren, 784, OptimizerKind::adam, 784},
      {"zoo_field" + device + "_27-128-128-128-1_2048pts", occupancy, 2048, OptimizerKind::adam, 16384},
      {"zoo_cnn" + device + "_s_b128", cnn, 128}};
  std::vector<BenchCase> cases;
  if (!gpu) { // where forms go as whole runs
    NetworkShape ternary{{49, 8, 10}};
    ternary.form.kind = FormKind::ternary;
    cases.push_back(training({"zoo_mlp_cpu_49-8-10_b64_adamw_ternary", ternary, 64, OptimizerKind::adamw}, backend,
                             TrainerKind::whole_runs));
  }
  for (const Training &t : trainings)
    cases.push_back(training(t, backend, TrainerKind::whole_runs));
  if (gpu)
    cases.push_back(training({"zoo_mlp_layerwise_784-32-32-10_b128_adam", {{784, 32, 32, 10}}, 128}, backend,
                             TrainerKind::layer_by_layer));
  const auto resnet = [](int width, int side, int channels) {
    NetworkShape shape{{width, 2 * width, 4 * width, 8 * width, 10},
                       Activation::relu,
                       Initialisation::pytorch,
                       network_kind_named("resnet")};
    shape.own = ResNetSettings{side, channels, 18, "small"};
    return shape;
  };
  NetworkShape vit{{64, 256, 10}, Activation::gelu, Initialisation::pytorch, network_kind_named("vit")};
  vit.own = VitSettings{28, 1, 4, 6, 4};
  for (const Arithmetic arithmetic : {Arithmetic::fp32, Arithmetic::bf16}) {
    const auto add = [&](const std::string &name, const NetworkShape &shape, int batch) {
      cases.push_back(backbone(name, shape, batch, 1, backend, arithmetic));
    };
    add("resnet18" + device + "_w16_28x28_b128_sgd", resnet(16, 28, 1), 128);
    add("resnet18" + device + "_w64_28x28_b32_sgd", resnet(64, 28, 1), 32);
    add("vit" + device + "_w64_6blocks_28x28_b128_sgd", vit, 128);
    // Language models of 47 characters: many small ones, and one of 10.7 million weights.
    const auto gpt = [](int width, int context, int blocks, int heads) {
      NetworkShape shape{{width, 4 * width, 47}, Activation::gelu, Initialisation::pytorch, network_kind_named("gpt")};
      shape.own = GptSettings{context, blocks, heads, true};
      return shape;
    };
    cases.push_back(backbone("gpt" + device + "_w48_2blocks_t48_b8_x32_adam", gpt(48, 48, 2, 3), 8, 1, backend,
                             arithmetic, OptimizerKind::adam, 32));
    cases.push_back(backbone("gpt" + device + "_w384_6blocks_t128_b8_adam", gpt(384, 128, 6, 6), 8, 1, backend,
                             arithmetic, OptimizerKind::adam));
  }
  return cases;
}

} // namespace theta
