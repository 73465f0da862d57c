// Whole trainings of small fields: perceptrons that take a point's coordinates and give a signal's value there (SIREN:
// Sitzmann et al., 2020; occupancy fields with a positional encoding: Mildenhall et al., 2020). Each run learns a
// signal of its own. As mlp_training.h, but
//   loss = mean over the batch's points and outputs of (h − value)²
#pragma once
#include "mlp_training.h"

namespace theta {

// Whether the two operations can hold such a network: on cuda up to 128 wide, and all but the optimiser's state within
// a multiprocessor's shared memory; on the cpu always.
bool field_training_fits(Backend, const MlpTraining &);

// Bytes of workspace that they need on a device for `networks` networks.
std::size_t field_training_workspace(Backend, const MlpTraining &, int networks);

// Trains every run from step `first` to `last`, as train_mlps.
// FLOPs a step and network: 6·B·Σ in·out, less 2·B·in·out of the first layer.
template <class T>
void train_fields(Stream &, const TrainingRuns<T> &runs, const FieldSet &, const MlpTraining &, long first, long last,
                  void *workspace);

// loss[k] = mean squared error of network k over all points of signal signal[k].
//   theta [networks, V]; act, signal [networks]; loss [networks].   FLOPs: 2·networks·points·Σ in·out.
template <class T>
void evaluate_fields(Stream &, T *loss, const T *theta, const Activation *act, const std::uint32_t *signal,
                     int networks, const FieldSet &, const MlpTraining &, void *workspace);

namespace cuda {
bool field_training_fits(const MlpTraining &);
std::size_t field_training_workspace(const MlpTraining &, int networks);
} // namespace cuda

} // namespace theta
