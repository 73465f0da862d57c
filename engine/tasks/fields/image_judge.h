// A classifier that theta trains itself, to say what a picture shows and to compare pictures by its features: a
// perceptron of two hidden layers on the training images. Its features are the second's. Not an Inception network:
// distances by it compare with those of the same judge alone.
#pragma once
#include "engine/analysis/features.h"
#include "engine/networks/layered_program.h"
#include "engine/training/journal.h"
#include "engine/zoo/learning.h"
#include "engine/zoo/wave.h"

namespace theta {

class ImageJudge {
public:
  // Of data sets of these sizes. Throws InputError for data without classes.
  ImageJudge(const DatasetSizes &, std::uint64_t seed, Backend, long steps = 6000);
  std::vector<const MemoryPlan *> plans() const { return {&training_plan_, &looking_plan_}; } // one after the other

  // On the training images. Throws Interrupted when asked to stop.
  void train(Device, const Dataset &, Journal &);

  struct Opinion {
    Features features;
    std::vector<int> label; // the class that it sees
  };
  // Of pictures [count, values] from 0 to 1, as bytes have them over 255.
  Opinion look(Device, const std::vector<float> &pictures) const;

private:
  static constexpr int features = 64, at_once = 1024;
  static ZooRecipe recipe(long steps);
  DatasetSizes sizes_;
  long steps_;
  double scale_ = 1, shift_ = 0; // of a byte
  NetworkShape shape_, eye_;     // eye: up to the features, before their ReLU
  std::unique_ptr<TrainingPart> part_;
  Wave wave_;
  MemoryPlan training_plan_{"eval.judge"}, looking_plan_{"eval.look"};
  Tensor<float> theta_, x_;
  mutable LayeredProgram<float> model_;
  std::vector<float> weights_;
};

} // namespace theta
