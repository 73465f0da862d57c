// Trains a zoo: many networks of one architecture, each with its own initial weights, batch order and, where the recipe
// says so, hyper-parameters, and writes their checkpoints as a zoo. Rows are ordered by run, then step; their columns:
//   run, step, held_out I64; signal and, where signals have classes, class I64, of fields;  train_loss (of the
//   mini-batch of that update), test_loss, test_accuracy, and where the data have such images validation_loss,
//   validation_accuracy F32 (of fields: test_loss and psnr over all points of their own signal); optimizer, activation, initialisation I64 (numbers of their names: the facts' "names"); lr, momentum,
//   weight_decay, label_smoothing, label_noise, dropout F32.
#pragma once
#include "base.h"
#include "data/dataset.h"
#include "data/zoo_writer.h"
#include "engine/training/journal.h"
#include "engine/training/state_file.h"
#include "evaluator.h"
#include "learning.h"
#include "parts.h"
#include "wave.h"

namespace theta {

struct ZooTask {
  ZooRecipe recipe;
  NetworkShape network;
  std::uint64_t seed = 1;
  Dtype storage = Dtype::f32;
  std::filesystem::path directory;
  std::string facts = "{}"; // JSON for the shards' metadata
  std::string key;          // of everything that the zoo depends on
  std::filesystem::path
      start{}; // a zoo whose row i network i begins as, and from row 0 again; empty: as the recipe says
  std::size_t most_row_bytes = theta::most_row_bytes;
  ZooPart part{};           // of all networks, what is to be trained
  std::string name = "zoo"; // in plans, progress and metrics
};

struct ZooOutcome {
  std::size_t rows = 0;
  int dropped = 0; // runs that diverged
};

class ZooTrainer {
public:
  // Throws InputError for a network that does not fit the data, or choices that the device's trainer cannot make.
  // Its waves are the recipe's, or smaller ones that are within the budget.
  ZooTrainer(ZooTask task, const DatasetSizes &sizes, Backend, Budget = {});

  const MemoryPlan &plan() const { return plan_; }
  // Those of the base which runs start from, and of the trunk that networks belong to, where there are any. They are
  // over before the zoo's begins.
  std::vector<MemoryPlan> plans_before() const;

  // Trains everything that is not there yet, wave by wave; a finished wave is scored and becomes a shard, which is
  // written while the next one trains. An unfinished wave continues from the state saved beside the shards. Throws
  // Interrupted when asked to stop, Error where the disk has no room for the whole zoo.
  ZooOutcome run(Device, const Dataset &, Journal &);

private:
  struct Work;     // device memory and the open wave
  struct Finished; // a wave on its way to the disk
  struct Told;     // progress
  // A wave is known by its first run.
  int networks_of(int first_run) const { return std::min(wave_, task_.part.end(task_.recipe) - first_run); }
  int number_of(int first_run) const { return first_run / wave_ + 1; } // for people
  long steps_of_waves(int first_run) const { return long(first_run) * task_.recipe.steps / wave_; }
  double steps_before(int first_run, long step) const; // of all networks together
  double row_bytes() const;
  ZooFormat format() const;
  void check_disk(int first_run) const;
  void train(Work &, long step, Journal &, Told &) const;
  void score(Work &, std::size_t part, Finished &) const;
  Finished finish_wave(Work &) const;
  void write(const Finished &, Work &) const;
  void save(Work &, long step) const;
  // The trunk's weights that rows have, once it is trained: a zoo of one network, in the folder TRUNK of this one.
  std::vector<float> train_trunk(Device, const Dataset &, Journal &);

  ZooTask task_;
  DatasetSizes sizes_;
  Backend backend_;
  int wave_;  // networks beside one another
  Wave open_; // the wave in training
  Evaluator evaluator_;
  MemoryPlan plan_;
  std::unique_ptr<TrainingPart> examples_;
  std::vector<ScoredPart> scored_on_;
  std::unique_ptr<BaseTrainer> base_; // where runs start from one
  std::unique_ptr<ZooTrainer> trunk_; // where networks differ in some tensors alone, and it is not there yet
  // [networks, checkpoints, V]: a wave's rows: one is being filled while the other is being written. None where a file
  // has them.
  std::array<Tensor<float>, 2> staging_;
};

} // namespace theta
