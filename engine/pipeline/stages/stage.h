// A stage of a run: from files to files. To add one: a class in a file of its own, and its line in stages() (stage.cpp),
// or, outside of this folder, the line
//   const bool added = theta::add_stage(std::make_unique<MyStage>());
// It is run with the others by `theta run`, after those before it, has a subcommand, its own table of settings, and its
// plans in `theta plan`.
#pragma once
#include "engine/pipeline/configuration/source.h"

namespace theta {

class Member;
class Pipeline;

// All stages; those of the networks around a generator, or the generator's own, for what asks about memory.
enum class StagesOf { run, generator, networks };

// What plans are made of.
struct PlanWork {
  const Config &config;
  const Source &source;
  DatasetSizes data;
  Backend backend;
  Budget budget;
  StagesOf which = StagesOf::run;
};

class Stage {
public:
  virtual ~Stage() = default;
  virtual const char *name() const = 0;                // also of its table of settings, where it has any
  virtual const char *what() const { return nullptr; } // for `theta NAME`; null: it has no subcommand by itself
  virtual bool is_wanted(const Config &) const { return true; } // else `theta run` leaves it out
  virtual bool needs_task() const { return false; } // where networks cannot be run on the data, it is left out
  virtual std::unique_ptr<StageSettings> settings() const { return nullptr; } // of [NAME] (config.h)

  // A hash of everything that its result depends on: what has been done with the same is skipped.
  virtual std::string key(Member &) const = 0;
  // What it takes of memory, from the configuration and the headers of the data files alone. Where it goes through many
  // networks, as many at a time as the budget holds. Throws InputError for what cannot be.
  virtual std::vector<MemoryPlan> plans(const PlanWork &) const { return {}; }

  // Of one architecture; and of all members of a run, one after another unless it says otherwise. Throws InputError
  // where what it begins with is not there, or was made otherwise, and Interrupted.
  virtual void run(Member &) const = 0;
  virtual void run_all(Pipeline &) const;
};

const std::vector<std::unique_ptr<const Stage>> &stages(); // in the order in which they run
const Stage &stage_named(std::string_view name);           // throws InputError
bool add_stage(std::unique_ptr<const Stage>);              // true

// The memory plans of all stages, those of one name together.
std::vector<MemoryPlan> plans_of(const Config &, Backend, Budget = {});
// The same for networks as `source` says.
std::vector<MemoryPlan> plans_of(const Config &, const Source &, Backend, Budget, StagesOf = StagesOf::run);

// Made by their files.
std::unique_ptr<const Stage> make_zoo_stage(), make_shown_stage(), make_fit_stage(), make_sample_stage(),
    make_eval_stage(), make_trajectories_stage(), make_finetune_stage(), make_report_stage();

} // namespace theta
