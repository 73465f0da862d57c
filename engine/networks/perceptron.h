// What the kinds of perceptrons share: classifiers of images (mlp.cpp) and fields of coordinates (field.cpp).
#pragma once
#include "kernels/runs/mlp_training.h"
#include "kind.h"

namespace theta {

// nn.Sequential(Linear, act, Linear, act, ..., Linear): "0.weight" [out, in], "0.bias", "2.weight", ...
Program perceptron_program(const NetworkShape &, double omega = usual_omega);

// As the operations take it. Throws InputError for more layers than they have.
MlpTraining mlp_training_of(const NetworkShape &, int batch, double omega = usual_omega);

// Whole runs of classifiers that are such a chain, in that form.
std::shared_ptr<const WholeRuns> perceptron_runs(const std::vector<int> &widths, Activation, const NetworkForm &,
                                                 int batch);

} // namespace theta
