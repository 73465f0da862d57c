// What networks are shown of what they learn: a few mini-batches that their training has not drawn. What these say is the
// gradient of their loss where networks begin; of networks that begin alike it means the same for all, so that it
// describes examples, however many, as a vector in the coordinates of what is to be generated.
#pragma once
#include "engine/memory/arena.h"
#include "zoo_trainer.h"

namespace theta {

class ShownExamples {
public:
  // `batches` mini-batches of the zoo's size, of `at_once` runs beside one another. Throws InputError for networks that do
  // not begin alike (network.fixed_a, zoo.start = trunk), or do not go layer by layer.
  ShownExamples(const ZooTask &, const DatasetSizes &, int batches, int at_once, Backend);
  const MemoryPlan &plan() const { return plan_; }
  int at_once() const { return at_once_; }
  std::size_t parameters() const { return parameters_; }

  void begin(Device, const Dataset &); // takes memory, and the training part of the data

  // Where all begin, [V].
  const std::vector<float> &start() const { return start_; }
  // Of runs run, run + 1, ..., run + at_once − 1: the mean gradient at the start over what they are shown, [at_once, V] in
  // host memory.
  void gradients(int run, float *gradient);
  // What a user would do instead: they are trained on them by Adam, a mini-batch a step; theta [at_once, V] in host memory.
  void train(int run, double lr, float *theta);
  // Losses on three mini-batches that they were not shown, [at_once].
  std::vector<float> losses(int run, const float *theta);
  // TrainingPart::summary of what a run is shown.
  std::vector<float> summary(int run, const Dataset &) const;

private:
  void compute(int run, long batch);
  void begin_all() const;
  ZooRecipe recipe_;
  std::uint64_t seed_;
  std::size_t parameters_ = 0;
  int batches_, at_once_;
  NetworkShape shape_;
  std::vector<float> start_;
  std::shared_ptr<LayeredNetworks<float>> networks_;
  std::unique_ptr<BatchLoss> loss_;
  std::unique_ptr<TrainingPart> part_;
  MemoryPlan plan_{"shown", "zoo.wave"};
  Tensor<float> theta_, gradient_, moment1_, moment2_, losses_; // [at_once, V] four times, [at_once]
  std::unique_ptr<Stream> stream_;
  std::unique_ptr<Arena> arena_;
  Examples examples_;
};

} // namespace theta
