// Trains a zoo: many networks of one architecture at once, each with its own initial weights and batch order, and
// writes their checkpoints as a zoo. Rows are ordered by run, then step; their columns are
//   run, step, held_out I64;  train_loss (of the mini-batch of that update), test_loss, test_accuracy F32.
#pragma once
#include "data/dataset.h"
#include "engine/training/journal.h"
#include "engine/training/state_file.h"
#include "evaluator.h"
#include "recipe.h"

namespace theta {

struct ZooTask {
  ZooRecipe recipe;
  MlpShape network;
  std::uint64_t seed = 1;
  Dtype storage = Dtype::f32;
  std::filesystem::path directory;
  std::string facts = "{}"; // JSON for the shards' metadata
  std::string key;          // of everything that the zoo depends on
};

struct ZooOutcome {
  std::size_t rows = 0;
  int dropped = 0; // runs that diverged
};

class ZooTrainer {
public:
  ZooTrainer(ZooTask task, const DatasetSizes &sizes); // throws InputError for a network that does not fit the data

  const MemoryPlan &plan() const { return plan_; }
  std::size_t rows_wanted() const { return std::size_t(task_.recipe.networks) * checkpoints_; }

  // Trains everything that is not there yet, wave by wave. Each finished wave is a shard; an unfinished one continues
  // from the state saved beside them. Throws Interrupted when asked to stop.
  ZooOutcome run(Device, const Dataset &, Journal &);

private:
  struct Work; // device pointers and the open wave
  int first_of(int wave) const { return wave * wave_; }
  int size_of(int wave) const { return std::min(wave_, task_.recipe.networks - first_of(wave)); }
  void make_plan();
  void start_wave(Work &, int wave) const;
  void train_step(Work &, long step) const;
  void compute_losses(Work &, long step) const;
  void record(Work &, long step) const;
  int publish(Work &, class ZooWriter &) const;
  void save(Work &, long step, std::size_t shards, int dropped) const;
  long load(Work &, const TrainingState &) const;

  ZooTask task_;
  DatasetSizes sizes_;
  int wave_;                // networks beside one another
  std::size_t checkpoints_; // rows a run
  Mlp<float> mlp_;
  Evaluator evaluator_;
  MemoryPlan plan_{"zoo"};
  Slot images_, labels_, bounds_, theta_, gradient_, moment1_, moment2_, x_, batch_labels_, row_loss_, loss_, largest_,
      rows_;
};

} // namespace theta
