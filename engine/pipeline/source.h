// What a run learns from: the zoo that its configuration describes, or one that is there already; and what its
// generator is made for.
#pragma once
#include "config.h"
#include "data/zoo_reader.h"
#include "engine/memory/plan.h"
#include "engine/zoo/zoo_trainer.h"

namespace theta {

// Rows of a zoo: those that the generator sees, and those that none may see. Throws InputError where the zoo has fewer
// than fit.first and fit.networks say.
struct Split {
  std::vector<std::size_t> training, held_out;
};
Split split_of(const ZooReader &, const FitConfig &);

// The key of what a zoo was made of; empty where there is no complete one.
std::string zoo_key_of(const std::filesystem::path &);

struct Source {
  std::size_t training, held_out; // networks, if no run diverges
  NetworkFacts facts;
  std::optional<NetworkShape> network; // none: not a classifier that can be run on the data
  std::optional<NetworkShape> field;   // none: not a field of the data's images, or these have no classes to judge by
  std::optional<NetworkShape> body;    // none: not a field of the data's solids or meshes
};
Source source_of(const Config &, const DatasetSizes &);

ZooTask task_of(const Config &); // without the places of its files
GeneratorTask generator_task(const Config &, const DatasetSizes &, Backend, NetworkFacts, std::size_t training);

// The memory plans of every stage, from the configuration and the headers of the data files alone. Stages that go
// through many networks take as many at a time as the budget holds.
std::vector<MemoryPlan> plans_of(const Config &, Backend, Budget = {});
// The same for networks as `source` says; of all stages, of the generator's, or of those around it.
enum class StagesOf { run, generator, networks };
std::vector<MemoryPlan> plans_of(const Config &, const Source &, Backend, Budget, StagesOf = StagesOf::run);

// Scores samples before they are written.
Evaluator sample_evaluator(const NetworkShape &, std::size_t images, const EvalConfig &, Backend, Budget);
MemoryPlan plan_of_scores(Evaluator &, Tensor<float> &staging); // [V], in host memory

} // namespace theta
