// Trainings of zoos: a wave of networks for a number of steps on random images.
#include "cases.h"
#include "engine/zoo/wave.h"
#include <fmt/core.h>

namespace theta {

namespace {

constexpr std::uint32_t images = 55'000;
constexpr int networks = 64;

struct ZooTraining {
  ZooRecipe recipe;
  Wave wave;
  MemoryPlan plan{"bench.zoo"};
  Slot image, label;
  std::optional<Arena> arena;
  ImageSet set{};

  ZooTraining(const ZooRecipe &r, const MlpShape &shape, Backend backend)
      : recipe(r), wave(r, shape, networks, 1, false, trainer_for(backend)) {
    const std::int64_t pixels = shape.widths.front();
    image = plan.reserve<std::uint8_t>("images", MemoryClass::data, {images, pixels});
    label = plan.reserve<std::uint8_t>("labels", MemoryClass::data, {images});
    wave.plan(plan, backend);
    plan.place();
    set = {nullptr, nullptr, images, int(pixels), shape.widths.back(), 1 / 128.0, -1};
  }

  void bind(Stream &s) {
    arena.emplace(s.device(), plan);
    wave.bind(*arena);
    std::vector<std::uint8_t> bytes(std::size_t(images) * std::size_t(set.pixels)), labels(images);
    for (std::size_t i = 0; i < bytes.size(); ++i)
      bytes[i] = std::uint8_t((i * 0x9E3779B97F4A7C15u) >> 56);
    for (std::size_t i = 0; i < labels.size(); ++i)
      labels[i] = std::uint8_t(((i * 0x9E3779B97F4A7C15u) >> 40) % std::size_t(set.classes));
    copy(s, arena->at<std::uint8_t>(image), bytes.data(), bytes.size());
    copy(s, arena->at<std::uint8_t>(label), labels.data(), labels.size());
    set.image = arena->at<std::uint8_t>(image), set.label = arena->at<std::uint8_t>(label);
    wave.start(s, 0, networks);
  }
};

BenchCase training(const std::string &name, std::vector<int> widths, int batch, OptimizerKind optimizer,
                   Backend backend) {
  const MlpShape shape{std::move(widths), Activation::relu};
  ZooRecipe recipe{.steps = 1 << 20, .batch = batch, .optimizer = {optimizer}};
  recipe.lr = 1e-3, recipe.weight_decay = 1e-2;
  const long steps = Wave(recipe, shape, networks, 1, false, trainer_for(backend)).chunk();
  double flops = 0; // forward, gradient of the weights, and of every layer's input but the images
  for (std::size_t l = 0; l + 1 < shape.widths.size(); ++l)
    flops += (l > 0 ? 6.0 : 4.0) * batch * shape.widths[l] * shape.widths[l + 1];
  BenchCase c{fmt::format("{}_b{}_{}", name, batch, name_of(optimizer)), 0, flops * double(steps) * networks, {}};
  c.bytes = 2.0 * batch * shape.widths.front() * double(steps) * networks;
  c.steps = double(steps) * networks;
  c.prepare = [=](Stream &s) -> std::function<void(int)> {
    auto zoo = std::make_shared<ZooTraining>(recipe, shape, backend);
    zoo->bind(s);
    return [&s, zoo, steps](int i) { zoo->wave.train(s, zoo->set, i * steps, (i + 1) * steps); };
  };
  return c;
}

} // namespace

std::vector<BenchCase> zoo_cases(bool gpu) {
  const Backend backend = gpu ? Backend::cuda : Backend::cpu;
  const std::string name = gpu ? "zoo_mlp_layerwise" : "zoo_mlp_cpu";
  return {training(name + "_784-32-32-10", {784, 32, 32, 10}, 128, OptimizerKind::adam, backend),
          training(name + "_196-16-10", {196, 16, 10}, 128, OptimizerKind::adam, backend),
          training(name + "_49-8-10", {49, 8, 10}, 64, OptimizerKind::adamw, backend)};
}

} // namespace theta
