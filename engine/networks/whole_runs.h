// Trainings and evaluations of whole runs (kernels/runs/*_training.h), behind one shape: each network has a worker of
// its own for all its steps.
#pragma once
#include "kernels/device/device.h"
#include "kernels/operations/windows.h"
#include "kernels/runs/training_run.h"

namespace theta {

// What networks look at on a device: labelled images, the points of signals, or text.
struct Examples {
  ImageSet images{};
  FieldSet field{};
  CharacterSet text{};
};

class WholeRuns {
public:
  virtual ~WholeRuns() = default;

  virtual bool fit(Backend) const = 0;                            // whether a worker has room for a network
  virtual std::size_t workspace(Backend, int networks) const = 0; // bytes
  // Whether it trains networks in a form (form.h); else they go layer by layer.
  virtual bool trains_forms(Backend) const { return false; }
  virtual double flops_of_a_step() const = 0; // of one network
  virtual double bytes_of_a_step() const = 0; // that it must read of the examples

  virtual void train(Stream &, const TrainingRuns<float> &, const Examples &, long first, long last,
                     void *workspace) const = 0;
  // Classifiers: loss and wrong answers over all images, and logits [networks, images, classes] unless that is null.
  // Networks of signals: the loss over all points of signal[k].
  virtual void evaluate(Stream &, float *loss, std::uint32_t *wrong, float *logits, const float *theta,
                        const Activation *act, const std::uint32_t *signal, int networks, const Examples &,
                        void *workspace) const = 0;
};

} // namespace theta
