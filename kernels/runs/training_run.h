// Many small networks in training, as the operations that train whole runs see them: each network is one run, with a
// recipe of its own, and a worker of its own (a core on the cpu) takes it through many steps at once.
#pragma once
#include "kernels/device/host_device.h"
#include "kernels/device/philox.h"
#include "kernels/operations/optimizer.h"
#include "kernels/parts/activations.h"

namespace theta {

// What may differ between the runs of a zoo.
struct RunRecipe {
  OptimizerKind optimizer = OptimizerKind::adam;
  Activation act = Activation::relu;
  float lr = 1e-3f, momentum = 0.9f, weight_decay = 0;
  float label_smoothing = 0, label_noise = 0, dropout = 0;
};

// What all runs share in one step: the factor on their learning rates, and Adam's bias corrections 1/(1 − beta1ᵗ) and
// 1/√(1 − beta2ᵗ).
// Where networks are pruned (kernels/operations/codes.h): how many of their weights are kept from before this step on, or
// −1 where nothing changes; and whether zeros stay zeros.
struct ScheduledStep {
  double lr_factor, correction1, root_correction2;
  long keep = -1;
  bool holds = false;
};

// A data set of images where the runs can read it: image [examples, pixels], label [examples] bytes; a pixel enters a
// network as byte·scale + shift.
struct ImageSet {
  const std::uint8_t *image, *label;
  std::uint32_t examples;
  int pixels, classes;
  double scale, shift;
  int channels = 1; // of `pixels` values, one square after another
};

// Signals to be learned, one a network: run r learns signal r mod signals, whose value at point p is byte·scale +
// shift. coordinate [points, inputs] is what the networks take (with their positional encoding), value [signals,
// points, outputs] bytes.
struct FieldSet {
  const float *coordinate;
  const std::uint8_t *value;
  std::uint32_t signals, points;
  int inputs, outputs;
  double scale, shift;
};

// The runs, all pointers on the stream's device. V parameters a network, in PyTorch's order and orientation.
template <class T> struct TrainingRuns {
  int networks;
  std::size_t parameters;
  std::uint64_t seed;
  std::uint32_t first_run; // network i is run first_run + i: the stream of its draws
  const RunRecipe *recipe; // [networks]
  double beta1, beta2, eps;
  const ScheduledStep *schedule; // [steps of the call]

  T *theta, *moment1, *moment2; // [networks, V]; both moments start at zero
  T *average;                   // [networks, V], or null; what rows are where runs have one: only layer by layer
  T *loss;                      // [networks] of the last step's mini-batch, before its update

  // Row k of network i is written when due[i, k] updates have been made (ascending; 0 is what has seen none), rounded
  // to bf16 where that is how it will be stored. Its loss is that of the update's mini-batch (of the first one's, for
  // 0).
  int checkpoints;
  const std::int32_t *due; // [networks, checkpoints]
  T *row;                  // [networks, checkpoints, V]
  T *row_loss;             // [networks, checkpoints]
  bool rows_are_bf16;
  // A run whose row holds a value beyond the limit, or not finite, is over: it is marked and trained no more.
  double limit;
  std::int32_t *diverged; // [networks], 0 or 1
  // A run whose mini-batch's loss is this or less is over with that update: its rows that are not yet due are written
  // then. 0: none is.
  double enough = 0;
  std::int32_t *ended = nullptr; // [networks], where there is enough: updates made, 0 while it goes on

  THETA_HOST_DEVICE bool is_over(int network) const { return diverged[network] || (ended && ended[network] > 0); }
};

// The example that run `run` sees at place `position` of its endless sequence, in batches of `batch`: every epoch has
// an order of its own. Where a batch holds all examples they keep their places.
THETA_HOST_DEVICE inline std::uint32_t drawn_example(std::uint64_t seed, std::uint32_t run, std::uint64_t position,
                                                     int batch, std::uint32_t examples) {
  return std::uint32_t(batch) == examples ? std::uint32_t(position % examples)
                                          : shuffled(seed, Purpose::batch_order, run, position, examples);
}

// The label that run `run` sees for an example: with probability label_noise one of the other classes, and always the
// same.
THETA_HOST_DEVICE inline int seen_label(int label, int classes, float label_noise, std::uint64_t seed,
                                        std::uint32_t run, std::uint32_t example) {
  if (label_noise == 0)
    return label;
  const Bits4 bits = philox(seed, Purpose::label_noise, run, example);
  const bool noisy = uniform01(bits.word[0]) < label_noise;
  return noisy ? (label + 1 + int(bits.word[1] % std::uint32_t(classes - 1))) % classes : label;
}

// What dropout multiplies unit `unit` (below 2^16) of example `b` (below 2^17) by: 0, or 1/(1 − rate). `layer` counts
// hidden layers.
THETA_HOST_DEVICE inline float dropout_factor(float rate, std::uint64_t seed, std::uint32_t run, long step, int layer,
                                              int b, int unit) {
  const std::uint64_t index =
      std::uint64_t(step) << 36 | std::uint64_t(layer) << 33 | std::uint64_t(b) << 16 | std::uint64_t(unit);
  const Bits4 bits = philox(seed, Purpose::dropout, run, index / 4);
  const std::uint32_t even = index & 2 ? bits.word[2] : bits.word[0], odd = index & 2 ? bits.word[3] : bits.word[1];
  return uniform01(index & 1 ? odd : even) < rate ? 0.0f : 1 / (1 - rate);
}

} // namespace theta
