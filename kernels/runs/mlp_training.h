// Whole trainings of small multilayer perceptrons on images: a worker takes one network through many steps with its
// weights and optimiser state beside it, and the optimiser is part of the product that makes the gradient. One step of
// a run, for a batch of B images x that its own Philox stream draws:
//   h_0 = x,  h_{l+1} = act(h_l·W_lᵀ + b_l)·dropout,  loss = mean cross-entropy of the last (without act and dropout)
#pragma once
#include "kernels/parts/codes.h"
#include "training_run.h"

namespace theta {

constexpr int most_mlp_layers = 7; // six hidden

// The form in which networks are trained: weights rounded to codes of −most..most (0: not), straight-through, with
// scales of the first layer and of the others; pruned, the largest two of four or of all.
struct MlpForm {
  int most = 0;
  ScaleOf first = ScaleOf::rows, others = ScaleOf::rows;
  int block = 0; // CodedTensor::block
  bool prunes = false, of_four = false;
  bool is_something() const { return most > 0 || prunes; }
};

struct MlpTraining {
  int layers; // products: widths has one more
  int widths[most_mlp_layers + 1];
  int batch;
  float omega = usual_omega; // of sine
  MlpForm form{};            // of training, on the cpu alone; evaluation takes weights as they are
};

std::size_t parameters_of(const MlpTraining &); // V

// Whether the two operations can hold such a network: on cuda up to 128 wide, where weights and a
// piece of the batch fit into a multiprocessor's shared memory (resident.cuh); on the cpu always.
bool mlp_training_fits(Backend, const MlpTraining &);

// Bytes of workspace that they need on a device for `networks` networks.
std::size_t mlp_training_workspace(Backend, const MlpTraining &, int networks);

// Trains every run from step `first` (0: nothing done yet) to `last`. `runs.schedule` begins with step `first`. Results
// do not depend on where a training is cut into calls, nor on which runs are beside one another.
// FLOPs a step and network: 6·B·Σ in·out, less 2·B·in·out of the first layer. Bytes: B·pixels of images twice.
template <class T>
void train_mlps(Stream &, const TrainingRuns<T> &runs, const ImageSet &, const MlpTraining &, long first, long last,
                void *workspace);

// loss[k] = mean cross-entropy of network k over all images, and which of them it gets wrong (wrong_masks in
// counting.h); their logits too, unless that is null.
// theta [networks, V]; act [networks]; loss [networks]; wrong [networks, words]; logits [networks, examples, classes].
// FLOPs: 2·networks·examples·Σ in·out. Bytes: networks·examples·pixels read of the images, and of logits
// networks·examples·classes·sizeof(T) written.
template <class T>
void evaluate_mlps(Stream &, T *loss, std::uint32_t *wrong, T *logits, const T *theta, const Activation *act,
                   int networks, const ImageSet &, const MlpTraining &, void *workspace);

namespace cuda {
bool mlp_training_fits(const MlpTraining &);
std::size_t mlp_training_workspace(const MlpTraining &, int networks);
} // namespace cuda

} // namespace theta
