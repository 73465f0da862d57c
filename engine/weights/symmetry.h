// Changes of a perceptron's weights that leave its function alone: hidden units may change places, a unit of ReLU may
// be scaled (its incoming weights and bias by a > 0, its outgoing weights by 1/a), a unit of tanh or sine may change
// sign.
#pragma once
#include "engine/networks/network.h"

namespace theta {

// Whether these functions know the shape: perceptrons (mlp or field). They throw InputError for others.
bool has_unit_symmetries(const NetworkShape &);

// One member for each class, as far as units have their places: ReLU (and leaky ReLU): incoming weights with the bias
// and outgoing weights have equal norms; tanh and sine: the incoming weight of largest size is positive. Layer by
// layer.
void balance(float *theta, const NetworkShape &);

// Unit `unit` of hidden layer `layer` (0 for the first) takes the place of unit order[unit].
void permute_units(float *theta, const NetworkShape &, int layer, const std::vector<int> &order);

// A random order of every hidden layer's units, of stream `stream`.
void shuffle_units(float *theta, const NetworkShape &, std::uint64_t seed, std::uint32_t stream);

// Brings units to where they are nearest to `reference`'s (weight matching: Ainsworth et al., "Git Re-Basin", 2023):
// each hidden layer by an exact assignment, again and again until nothing changes. One hidden layer: the exact optimum.
void match_units(float *theta, const float *reference, const NetworkShape &);

} // namespace theta
