// The operations that train and evaluate whole runs (kernels/runs/*_training.h), behind one shape.
#pragma once
#include "examples.h"
#include "kernels/runs/field_training.h"
#include <variant>

namespace theta {

class WholeRuns {
public:
  // Throws InputError for more layers than the operations have.
  WholeRuns(const NetworkShape &, int batch);

  bool fit(Backend) const;
  std::size_t workspace(Backend, int networks) const; // bytes
  double flops_of_a_step() const;                     // of one network
  double bytes_of_a_step() const;                     // that it must read of the examples

  void train(Stream &, const TrainingRuns<float> &, const Examples &, long first, long last, void *workspace) const;

  // Classifiers: loss and wrong answers over all images. Fields: the loss over all points of signal[k] each.
  void evaluate(Stream &, float *loss, std::uint32_t *wrong, const float *theta, const Activation *act,
                const std::uint32_t *signal, int networks, const Examples &, void *workspace) const;

private:
  NetworkKind kind_;
  std::variant<MlpTraining, CnnTraining> shape_;
};

// whole_runs: each network has a worker of its own for all its steps. layer_by_layer: all networks go through each
// layer together (layerwise.h, networks/mlp.h).
enum class TrainerKind { whole_runs, layer_by_layer };

// Whole runs where they fit, otherwise layer by layer. Throws InputError for what neither can do.
TrainerKind trainer_for(Backend, const NetworkShape &, int batch);

// In fp32: on cuda layer by layer, where that can be.
TrainerKind exact_evaluator_for(Backend, const NetworkShape &);

} // namespace theta
