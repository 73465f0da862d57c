// The stage that draws ways through weight space: of networks as they train, and of watched samples.
#include "data/hash.h"
#include "engine/memory/arena.h"
#include "kernels/device/trace.h"
#include "measured.h"
#include "source.h"
#include "trajectories_file.h"
#include <fmt/core.h>

namespace theta {

namespace {

constexpr int grid = 41; // points a side of the plane whose loss is looked at

// Of each watched sample its states, and what it was taken for at each.
void add_samples(std::vector<Way> &ways, const ZooReader &states) {
  const auto sample = states.integers("sample"), predicted = states.integers("predicted");
  const std::size_t v = states.parameters();
  for (std::size_t row = 0; row < states.rows(); ++row) {
    const std::string kind = predicted[row] ? "predicted" : "denoising",
                      name = fmt::format("{} {}", kind, sample[row] + 1);
    auto way = std::find_if(ways.begin(), ways.end(), [&](const Way &w) { return w.name == name; });
    if (way == ways.end())
      way = ways.insert(ways.end(), Way{name, kind, {}});
    way->states.resize(way->states.size() + v);
    states.theta(row, way->states.data() + way->states.size() - v);
  }
}

void add_descents(std::vector<Way> &ways, const ZooReader &zoo) {
  const auto run = zoo.integers("run");
  const std::size_t v = zoo.parameters();
  for (std::size_t row = 0; row < zoo.rows(); ++row) {
    const std::string name = fmt::format("descent {}", run[row] + 1);
    if (ways.empty() || ways.back().name != name)
      ways.push_back({name, "descent", {}});
    ways.back().states.resize(ways.back().states.size() + v);
    zoo.theta(row, ways.back().states.data() + ways.back().states.size() - v);
  }
}

} // namespace

void Stages::trajectories() {
  const Span span("trajectories");
  const Config &c = run_.config;
  if (c.sample.watch == 0 || !network_)
    return;
  const std::string key = hash_of("trajectories 1\n" + sample_key() + c.eval.part);
  const auto path = run_.out / "trajectories.json";
  if (trajectories_key_of(path) == key) {
    journal_.line("trajectories: done before, skipped");
    return;
  }
  check_samples("trajectories");
  const Dataset &d = data();
  std::vector<Way> ways;
  if (c.zoo.from.empty()) { // the zoo's first runs once more, looked at on their way
    ZooTask task = task_of(c);
    task.recipe.networks = std::min(task.recipe.networks, c.sample.watch);
    task.recipe.checkpoints = CheckpointKind::every;
    task.recipe.count = std::max(1L, task.recipe.steps / long(most_states));
    task.directory = run_.out / "descent", task.facts = facts_of(key, "trained"), task.key = key;
    if (zoo_key_of(task.directory) != key) {
      ZooTrainer trainer(task, sizes_of(d), run_.device.backend, run_.memory_budget);
      check_budget(trainer.plan(), run_.device.backend, run_.memory_budget);
      trainer.run(run_.device, d, journal_);
    }
    add_descents(ways, ZooReader(task.directory));
  }
  add_samples(ways, ZooReader(trajectory_path()));
  std::erase_if(ways, [&](const Way &way) {
    const bool broken = !all_finite(way.states);
    if (broken)
      journal_.line("trajectories: " + way.name + " has weights that are not finite, and is left out");
    return broken;
  });
  if (ways.empty())
    return;
  const Images &part = c.eval.part == "test" ? d.test : d.validation;
  Evaluator evaluator = sample_evaluator(*network_, part.size(), c.eval, run_.device.backend, run_.memory_budget);
  Tensor<float> staging;
  const MemoryPlan plan = plan_of_scores(evaluator, staging);
  check_budget(plan, run_.device.backend, run_.memory_budget);
  Stream s(run_.device);
  const Arena arena(run_.device, plan);
  evaluator.upload(s, d, part);
  const Plane plane = plane_of(std::move(ways), *network_, evaluator, s, grid);
  write_trajectories(path, plane, key);
  journal_.result(table_of(plane));
}

} // namespace theta
