#include "stage.h"
#include "engine/shapes/mesh_signals.h"
#include "pipeline.h"
#include <algorithm>

namespace theta {

namespace {

std::vector<std::unique_ptr<const Stage>> &all_stages() {
  static std::vector<std::unique_ptr<const Stage>> all = [] {
    std::vector<std::unique_ptr<const Stage>> made;
    for (auto *make : {make_zoo_stage, make_shown_stage, make_fit_stage, make_sample_stage, make_eval_stage,
                       make_trajectories_stage, make_finetune_stage, make_report_stage})
      made.push_back(make());
    return made;
  }();
  return all;
}

} // namespace

const std::vector<std::unique_ptr<const Stage>> &stages() { return all_stages(); }

bool add_stage(std::unique_ptr<const Stage> stage) {
  all_stages().insert(all_stages().end() - 1, std::move(stage)); // the report is of all
  return true;
}

const Stage &stage_named(std::string_view name) {
  std::string known;
  for (const auto &stage : stages()) {
    if (stage->name() == name)
      return *stage;
    known += (known.empty() ? "" : ", ") + std::string(stage->name());
  }
  throw InputError("stage: found '", std::string(name), "', expected one of ", known);
}

void Stage::run_all(Pipeline &pipeline) const {
  for (const auto &member : pipeline.members()) {
    if (!member->name().empty())
      pipeline.journal().line(member->name() + (member->is_seen() ? ":" : ": (unseen by the generator)"));
    run(*member);
  }
}

StageSettingsList settings_of_stages() {
  StageSettingsList all;
  for (const auto &stage : stages())
    if (auto settings = stage->settings())
      all.add(stage->name(), std::move(settings));
  return all;
}

std::vector<MemoryPlan> plans_of(const Config &c, Backend backend, Budget budget) {
  return plans_of(c, source_of(c, dataset_sizes(c.data.options())), backend, budget);
}

std::vector<MemoryPlan> plans_of(const Config &c, const Source &source, Backend backend, Budget budget,
                                 StagesOf which) {
  const PlanWork work{c, source, dataset_sizes(c.data.options()), backend, budget, which};
  std::vector<MemoryPlan> all;
  for (const auto &stage : stages())
    for (MemoryPlan &plan : stage->plans(work)) {
      const auto same =
          std::find_if(all.rbegin(), all.rend(), [&](const auto &p) { return p.stage() == plan.stage(); });
      all.insert(same == all.rend() ? all.end() : same.base(), std::move(plan));
    }
  if (c.data.name == "meshes" && which == StagesOf::run) // their signals are computed first
    all.insert(all.begin(), MeshSignals(c.data.options()).plan());
  return all;
}

} // namespace theta
