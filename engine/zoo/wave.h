// A wave of a zoo: runs that are trained beside one another, each with its own initial weights, recipe and draws, and
// the rows that they leave. What it makes of run r depends on the recipe, the seed and r alone.
#pragma once
#include "adapted.h"
#include "data/work_file.h"
#include "engine/networks/form.h"
#include "engine/training/trainable.h"
#include "trainer_kind.h"

namespace theta {

class Wave {
public:
  // Room for `networks` runs. Throws InputError for what the trainer cannot do.
  Wave(const ZooRecipe &, const NetworkShape &, int networks, std::uint64_t seed, bool rows_are_bf16, Backend,
       TrainerKind, std::size_t most_row_bytes = theta::most_row_bytes);

  // Whether a network's rows are more than memory should hold: keep_rows_in() says before start() which file has them.
  bool needs_file() const { return layerwise_ && checkpoints_ * layout_.size() * sizeof(float) > most_row_bytes_; }
  void plan(MemoryPlan &);
  void keep_rows_in(WorkFile *file) { file_ = file; }

  std::size_t parameters() const { return layout_.size(); }
  const Layout &layout() const { return layout_; }
  std::size_t checkpoints() const { return checkpoints_; } // rows a run
  // Steps that are best trained in one call: between two calls Ctrl-C is noticed.
  long chunk() const;
  // Brings all rows into the networks' form, after the last step.
  void put_in_form(Stream &) const;

  // Fresh runs first_run..first_run+networks−1, none of their steps done. They start from `base` [V], where one is
  // given.
  void start(Stream &, int first_run, int networks, const std::vector<float> *base = nullptr);
  // Network `i` begins as theta [V], in host memory, instead. Between start() and the first step.
  void begin_as(Stream &, int i, const float *theta) const;
  // Trains all runs from step `first` to `last`, at most chunk() further.
  void train(Stream &, const Examples &, long first, long last);

  int networks() const { return networks_; } // of those there is room for
  const std::vector<RunChoice> &choices() const { return choices_; }
  const std::vector<std::int32_t> &due() const { return due_; } // [networks, checkpoints] steps
  const float *theta() const { return theta_; }                 // [networks, V] on the device
  // Row `row` of [networks, checkpoints], to `to` [V]: on the device, or in host memory.
  void row_to(Stream &, std::size_t row, float *to) const;
  std::vector<float> row_losses(Stream &) const;      // [networks, checkpoints]
  std::vector<float> losses(Stream &) const;          // of the last step
  std::vector<std::int32_t> diverged(Stream &) const; // 0 or 1 a network
  // Of every row how many updates its network has seen: when it was due, or when the run ended before.
  std::vector<std::int32_t> updates(Stream &) const;

  // Everything that start() with the same arguments does not make again, after `step` steps.
  std::vector<StateTensor> save(Stream &, long step) const;
  void load(Stream &, const SavedState &); // throws InputError where one is missing or of another size

private:
  TrainingRuns<float> runs() const;
  void keep_row(Stream &, std::size_t row, const float *theta) const;
  std::vector<std::int32_t> ended(Stream &) const; // empty where no run can end early
  void upload_bounds(Stream &, const Layout &) const;
  void draw_starts(Stream &) const;
  std::vector<std::pair<const char *, std::pair<float *, std::size_t>>> vectors() const; // what is saved always

  ZooRecipe recipe_;
  NetworkShape shape_;
  Layout layout_;
  IntoForm into_form_;
  std::size_t prunable_ = 0, kept_ = 0; // weights, where a form has zeros
  int capacity_, networks_ = 0, first_run_ = 0;
  std::uint64_t seed_;
  bool rows_are_bf16_;
  std::size_t checkpoints_, most_row_bytes_;
  Backend backend_;
  std::optional<Layerwise> layerwise_; // or
  std::optional<Adapted> adapted_;     // or else
  std::shared_ptr<const WholeRuns> whole_;
  std::vector<RunChoice> choices_;
  std::vector<std::int32_t> due_;
  Tensor<float> theta_, moment1_, moment2_, average_;        // [networks, V]
  WorkFile *file_ = nullptr;                                 // of rows, where memory does not hold them
  Tensor<float> rows_, row_loss_;                            // [networks, checkpoints, V], [networks, checkpoints]
  Tensor<float> row_staging_;                                // [V], where there is a file
  Tensor<float> bounds_, loss_;                              // [V], [networks]
  Tensor<std::int32_t> due_there_;                           // [networks, checkpoints]
  Tensor<std::int32_t> diverged_, ended_;                    // [networks]
  Tensor<std::uint8_t> recipe_there_, schedule_, workspace_; // RunRecipe [networks], ScheduledStep [chunk]
};
} // namespace theta
