// The trainer for every shape and device: the networks of a wave go through their layers side by side, one operation
// after another. It takes runs that differ in nothing but their draws.
#pragma once
#include "engine/networks/form.h"
#include "learning.h"
#include <functional>

namespace theta {

class Layerwise {
public:
  // Throws InputError for what only whole-run trainers do: choices that differ between runs, label noise, dropout.
  Layerwise(const ZooRecipe &, const NetworkShape &);
  // What it would say of the recipe; empty where it can do it.
  static std::string beyond(const ZooRecipe &);
  // Whether it alone can do what the recipe asks for. (Whole runs on cuda multiply in bf16 always.)
  static bool is_needed(Backend, const ZooRecipe &);

  double step_flops() const { return networks_->step_flops(recipe_.batch); } // of one network

  void plan(MemoryPlan &, int networks);

  // Takes a network's weights, theta [V] on the device, as row `row` of [networks, checkpoints].
  using KeepRow = std::function<void(std::size_t row, const float *theta)>;

  // As train_mlps (kernels/runs/mlp_training.h), but that `keep` takes the rows; `due` is runs.due on the host.
  void train(Stream &, const TrainingRuns<float> &runs, const Examples &, const std::vector<std::int32_t> &due,
             long first, long last, const KeepRow &keep);

private:
  // Neighbours among the weights on which weight decay falls, or none of it: tensors of one axis, and what is added to
  // tokens ([1, ...]), are spared where the recipe says so.
  struct Stretch {
    std::size_t first, count;
    bool decays;
  };
  std::vector<Stretch> stretches() const;
  void compute_losses(Stream &, const TrainingRuns<float> &runs, const Examples &, long step, float *state);
  // runs, their weights in the form in which they are multiplied by: rounded_, made anew of theta.
  TrainingRuns<float> in_form(Stream &, const TrainingRuns<float> &runs) const;
  void prune(Stream &, const TrainingRuns<float> &runs, const Pruning &) const;
  void update(Stream &, const TrainingRuns<float> &runs, long step) const;
  // average += (1 − decay)·(theta − average), all of a network, its state too; decay after t updates at most
  // (1 + t)/(10 + t) (TensorFlow's ExponentialMovingAverage with num_updates).
  void move_average(Stream &, const TrainingRuns<float> &runs, long step) const;

  ZooRecipe recipe_;
  RunRecipe each_; // the recipe of every run
  std::shared_ptr<LayeredNetworks<float>> networks_;
  std::unique_ptr<BatchLoss> loss_;
  std::vector<Stretch> stretches_;   // of what is trained
  std::vector<CodedTensor> coded_;   // of networks with a form
  int most_ = 0;                     // of their codes
  std::size_t kept_ = 0;             // of their weights, where they are pruned
  bool of_four_ = false;             // to two of four
  Tensor<float> gradient_, largest_; // [networks, V], [networks]
  Tensor<float> rounded_;            // [networks, V], where there are codes
};

// Makes rows of the networks whose checkpoint is due after `step` updates, and notices divergence; largest [networks].
void record_rows(Stream &, const TrainingRuns<float> &runs, float *largest, const std::vector<std::int32_t> &due,
                 long step, const Layerwise::KeepRow &keep);

} // namespace theta
