// The stage that draws ways through weight space: of networks as they train, and of watched samples.
#include "engine/analysis/trajectories.h"
#include "data/hash.h"
#include "kernels/device/trace.h"
#include "member.h"
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

class TrajectoriesStage : public Stage {
public:
  const char *name() const override { return "trajectories"; }
  bool needs_task() const override { return true; }
  bool is_wanted(const Config &c) const override { return c.sample.watch > 0; }
  std::string key(Member &m) const override {
    return hash_of("trajectories 1\n" + m.key("sample") + m.config().eval.part);
  }
  void run(Member &m) const override {
    const Span span("trajectories");
    const Config &c = m.config();
    if (c.sample.watch == 0 || !m.scores())
      return;
    const std::string key = this->key(m);
    const auto path = m.out() / "trajectories.json";
    if (trajectories_key_of(path) == key) {
      m.journal().line("trajectories: done before, skipped");
      return;
    }
    m.check_samples("trajectories");
    const Dataset &d = m.data();
    std::vector<Way> ways;
    if (c.zoo.from.empty()) { // the zoo's first runs once more, looked at on their way
      ZooTask task = task_of(c);
      task.recipe.networks = std::min(task.recipe.networks, c.sample.watch);
      task.recipe.checkpoints = CheckpointKind::every;
      task.recipe.count = std::max(1L, task.recipe.steps / long(most_states));
      task.directory = m.out() / "descent", task.facts = m.facts_of(key, "trained"), task.key = key;
      if (zoo_key_of(task.directory) != key) {
        ZooTrainer trainer(task, sizes_of(d), m.device().backend, m.budget());
        check_budget(trainer.plan(), m.device().backend, m.budget());
        trainer.run(m.device(), d, m.journal());
      }
      add_descents(ways, ZooReader(task.directory));
    }
    add_samples(ways, ZooReader(m.trajectory_path()));
    std::erase_if(ways, [&](const Way &way) {
      const bool broken = !all_finite(way.states);
      if (broken)
        m.journal().line("trajectories: " + way.name + " has weights that are not finite, and is left out");
      return broken;
    });
    if (ways.empty())
      return;
    const Images &part = c.eval.part_of(d);
    const auto scorer = m.scorer("trajectories", part.size());
    check_budget(scorer->plan(), m.device().backend, m.budget());
    scorer->with(m.device(), d, part, [&](Stream &s, Evaluator &evaluator, float *) {
      const Plane plane = plane_of(std::move(ways), m.shape("trajectories"), evaluator, s, grid);
      write_trajectories(path, plane, key);
      m.journal().result(table_of(plane));
    });
  }
};

} // namespace

std::unique_ptr<const Stage> make_trajectories_stage() { return std::make_unique<TrajectoriesStage>(); }

} // namespace theta
