// What the kinds of perceptrons share: classifiers of images (mlp.cpp) and fields of coordinates (field.cpp).
#pragma once
#include "kernels/runs/mlp_training.h"
#include "kind.h"

namespace theta {

// nn.Sequential(Linear, act, Linear, act, ..., Linear): "0.weight" [out, in], "0.bias", "2.weight", ...
Layout perceptron_layout(const NetworkShape &);
Symmetries perceptron_symmetries(const NetworkShape &);

// As the operations take it. Throws InputError for more layers than they have.
MlpTraining mlp_training_of(const NetworkShape &, int batch);
double perceptron_flops(const MlpTraining &); // of a step: forward, and the gradients of weights and layers' inputs

} // namespace theta
