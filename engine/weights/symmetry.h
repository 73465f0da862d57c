// Changes of a perceptron's weights that leave its function alone: hidden units may change places, a unit of ReLU may
// be scaled (its incoming weights and bias by a > 0, its outgoing weights by 1/a), a unit of tanh or sine may change
// sign, the bias of a sine may turn by half periods as its outgoing weights change sign.
#pragma once
#include "engine/networks/network.h"
#include "kernels/units.h"

namespace theta {

// Whether these functions know the shape: perceptrons (mlp or field). They throw InputError for others.
bool has_unit_symmetries(const NetworkShape &);

// What brings the units of such a network to one member for each class, but for their places (ReLU and leaky ReLU:
// norms; tanh: signs; sine: phases and signs), and in how many passes of balance_units: one is exact where no two
// hidden layers meet; else each pass halves at least what is missing, as far as three hidden layers, and 20 leave
// rounding.
UnitBalance unit_balance(const NetworkShape &);
int balance_passes(const NetworkShape &);
void balance(float *theta, const NetworkShape &);

// Unit `unit` of hidden layer `layer` (0 for the first) takes the place of unit order[unit].
void permute_units(float *theta, const NetworkShape &, int layer, const std::vector<int> &order);

// A random order of every hidden layer's units, and random factors, of stream `stream`. Factors that the activation
// does not allow throw InputError (check_factors).
void shuffle_units(float *theta, const NetworkShape &, const UnitFactors &, std::uint64_t seed, std::uint32_t stream);
void check_factors(const NetworkShape &, const UnitFactors &);

// Brings units to where they are nearest to `reference`'s (weight matching: Ainsworth et al., "Git Re-Basin", 2023):
// each hidden layer by an exact assignment, again and again until nothing changes. One hidden layer: the exact optimum.
// Returns the order of each hidden layer that does so, for permute_units.
using UnitOrders = std::vector<std::vector<int>>;
UnitOrders match_units(float *theta, const float *reference, const NetworkShape &);

} // namespace theta
