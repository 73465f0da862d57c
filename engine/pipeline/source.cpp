#include "source.h"
#include "compare.h"
#include "completion.h"
#include "data/json.h"
#include "data/solids.h"
#include "engine/shapes/mesh_signals.h"
#include "field_eval.h"
#include "finetune.h"
#include "shape_eval.h"
#include <algorithm>

namespace theta {

namespace {

// How many of so many training networks are seen.
std::size_t seen_of(std::size_t training, const FitConfig &fit) {
  const auto first = std::size_t(fit.first), networks = std::size_t(fit.networks);
  if (first + std::max<std::size_t>(networks, 1) > training)
    throw InputError(networks > 0 ? "fit.networks" : "fit.first", ": found ", networks > 0 ? networks : first,
                     networks > 0 && first > 0 ? text(" from ", first, " on") : "", ", expected at most ", training,
                     " in all, the zoo's training networks");
  return networks > 0 ? networks : training - first;
}

} // namespace

Split split_of(const ZooReader &zoo, const FitConfig &fit) {
  Split split;
  const auto held_out = zoo.integers("held_out");
  for (std::size_t row = 0; row < zoo.rows(); ++row)
    (held_out[row] ? split.held_out : split.training).push_back(row);
  const std::size_t seen = seen_of(split.training.size(), fit);
  split.training.erase(split.training.begin(), split.training.begin() + fit.first);
  split.training.resize(seen);
  return split;
}

std::string zoo_key_of(const std::filesystem::path &zoo) {
  if (!std::filesystem::exists(zoo / "index.json"))
    return "";
  const ZooReader reader(zoo);
  return parse_json(reader.format().facts, zoo.string()).value("key", "");
}

namespace {

// How many rows of the zoo generators may see, and may not, if no run diverges.
std::pair<std::size_t, std::size_t> expected_split(const ZooRecipe &r, std::uint64_t seed) {
  const auto checkpoints = checkpoint_steps(r, seed, 0).size();
  const std::size_t items = r.networks > 1 ? std::size_t(r.networks) : checkpoints,
                    each = r.networks > 1 ? checkpoints : 1;
  std::size_t held_out = 0;
  for (std::size_t i = 0; i < items; ++i)
    held_out += is_held_out(long(i), r.held_out);
  return {(items - held_out) * each, held_out * each};
}

bool is_field_of(const NetworkShape &shape, const DatasetSizes &sizes, int dimensions) {
  return !is_classifier(shape) && sizes.dimensions == dimensions &&
         inputs_of(shape) == dimensions * (1 + 2 * shape.octaves) && outputs_of(shape) == sizes.channels;
}
bool shows_images(const NetworkShape &shape, const DatasetSizes &sizes) {
  return sizes.classes > 1 && is_field_of(shape, sizes, 2);
}

} // namespace

ZooTask task_of(const Config &c) {
  return {.recipe = c.zoo.recipe,
          .network = c.network,
          .seed = c.seed,
          .storage = c.zoo.storage == "bf16" ? Dtype::bf16 : Dtype::f32};
}

Source source_of(const Config &c, const DatasetSizes &sizes) {
  if (c.zoo.from.empty()) {
    const auto [training, held_out] = expected_split(c.zoo.recipe, c.seed);
    Source source{seen_of(training, c.fit), held_out, {layout_of(c.network).places(), c.network}, {}, {}, {}};
    if (is_classifier(c.network))
      source.network = c.network;
    else if (shows_images(c.network, sizes))
      source.field = c.network;
    else if (is_field_of(c.network, sizes, 3))
      source.body = c.network;
    return source;
  }
  const ZooReader zoo(c.zoo.from);
  const Split split = split_of(zoo, c.fit);
  Source source{split.training.size(), split.held_out.size(), network_facts(zoo.format(), c.zoo.from), {}, {}, {}};
  const auto &shape = source.facts.shape;
  if (!shape)
    return source;
  if (is_classifier(*shape) && sizes.dimensions == 2 && inputs_of(*shape) == sizes.values() &&
      outputs_of(*shape) == sizes.classes)
    source.network = shape;
  if (shows_images(*shape, sizes) && zoo.has_column("signal") && zoo.has_column("class"))
    source.field = shape;
  if (is_field_of(*shape, sizes, 3) && zoo.has_column("signal"))
    source.body = shape;
  return source;
}

GeneratorTask generator_task(const Config &c, const DatasetSizes &sizes, Backend backend, NetworkFacts networks,
                             std::size_t training) {
  GeneratorTask task{std::move(networks), training,       c.seed, backend,
                     c.sample.count,      c.sample.batch, {},     !c.sample.complete.empty()};
  if (c.zoo.from.empty())
    task.stream = StreamTask{c.zoo.recipe, c.network, sizes};
  for (const NetworkShape &shape : c.family)
    task.family.push_back({{layout_of(shape).places(), shape}, training});
  return task;
}

MemoryPlan plan_of_scores(Evaluator &evaluator, Tensor<float> &staging) {
  MemoryPlan plan("sample.scores", "eval.wave");
  staging = plan.reserve<float>("sample.staging", MemoryClass::staging, {std::int64_t(evaluator.parameters())});
  evaluator.plan(plan);
  plan.place();
  return plan;
}

Evaluator sample_evaluator(const NetworkShape &shape, std::size_t images, const EvalConfig &c, Backend backend,
                           Budget budget) {
  const auto of = [&](int wave) {
    return Evaluator(shape, images, wave, backend, exact_evaluator_for(backend, shape));
  };
  return of(most_within(budget, c.wave, [&](int wave) {
    Evaluator evaluator = of(wave);
    Tensor<float> staging;
    return plan_of_scores(evaluator, staging).bytes_on(backend);
  }));
}

std::vector<MemoryPlan> plans_of(const Config &c, Backend backend, Budget budget) {
  return plans_of(c, source_of(c, dataset_sizes(c.data.options())), backend, budget);
}

std::vector<MemoryPlan> plans_of(const Config &c, const Source &source, Backend backend, Budget budget,
                                 StagesOf which) {
  const DatasetSizes sizes = dataset_sizes(c.data.options());
  std::vector<MemoryPlan> all;
  if (c.zoo.from.empty() && which != StagesOf::generator) {
    const ZooTrainer trainer(task_of(c), sizes, backend, budget);
    if (const MemoryPlan *base = trainer.base_plan())
      all.push_back(*base);
    all.push_back(trainer.plan());
  }
  if (c.finetune.networks > 0 && source.network && which != StagesOf::generator)
    for (const bool from_generated : {true, false}) {
      MemoryPlan plan = ZooTrainer(finetune_task(c, from_generated), sizes, backend, budget).plan();
      all.push_back(std::move(plan));
    }
  if (which != StagesOf::networks)
    for (auto &plan : c.generators.chosen().plans(generator_task(c, sizes, backend, source.facts, source.training)))
      all.push_back(std::move(plan));
  if (source.network && which != StagesOf::generator) {
    Evaluator evaluator = sample_evaluator(*source.network, sizes.test, c.eval, backend, budget);
    Tensor<float> staging;
    all.push_back(plan_of_scores(evaluator, staging));
    const std::size_t images = c.eval.part == "test" ? sizes.test : sizes.validation;
    if (images == 0)
      throw InputError("eval.part: found ", c.eval.part, ", which holds no image");
    const CompareJudges judges(c.eval, *source.network, images, source.training, source.held_out, backend, budget);
    for (const auto *plan : judges.plans())
      all.push_back(*plan);
  }
  if (source.field && which != StagesOf::generator) {
    const int side = image_format(c.data.options()).side;
    const FieldJudge judge = field_judge(c, *source.field, sizes, side, backend);
    for (const auto *plan : judge.plans())
      all.push_back(*plan);
  }
  if (!c.sample.complete.empty() && which != StagesOf::generator) {
    const auto &field = source.field ? source.field : source.body;
    if (!field)
      throw InputError("sample.complete: found '", c.sample.complete,
                       "', expected nothing: the networks are no fields");
    const auto points = source.field ? pixel_grid(image_format(c.data.options()).side) : even_points(sizes.pixels);
    all.push_back(guide_of(c, *field, points, sizes.channels, nullptr, {}).plan());
  }
  if (source.body && which != StagesOf::generator) {
    if (c.data.name == "meshes" && which == StagesOf::run)
      all.push_back(MeshSignals(c.data.options()).plan());
    const ShapeJudge judge = shape_judge(c, *source.body, sizes);
    for (const auto *plan : judge.plans())
      all.push_back(*plan);
  }
  return all;
}

} // namespace theta
