// Changes of a network's weights that leave its function alone: hidden units (channels of a convolutional network) may
// change places, a unit of ReLU may be scaled (its incoming weights and bias by a > 0, its outgoing weights by 1/a), a
// unit of tanh or sine may change sign, the bias of a sine may turn by half periods as its outgoing weights change
// sign. The last two not where pooling follows.
#pragma once
#include "engine/networks/network.h"
#include "kernels/operations/units.h"

namespace theta {

// The network as layers of exchangeable units, for the operations that walk along a chain of them. Throws InputError
// for a shape that cannot be, or whose symmetries (engine/networks/symmetries.h) are not those of a chain.
UnitLayers unit_layers(const NetworkShape &);

// What brings the units of such a network to one member for each class, but for their places (ReLU and leaky ReLU:
// norms; tanh: signs; sine: phases and signs), and in how many passes of balance_units. One is exact but for the norms
// of n > 1 hidden layers. Those form a chain, over which a pass is one of Gauss and Seidel's: of a layer's missing
// factor it leaves cos²(π/(n + 1)), to first order. As many passes as leave a millionth, and 64 at most.
UnitBalance unit_balance(const NetworkShape &);
int balance_passes(const NetworkShape &);
bool can_balance(const NetworkShape &); // else it is left as it is: units with other symmetries than a chain's
void balance(float *theta, const NetworkShape &);

// Balanced, and the units of each group in the order of their norms: one member of each class, but where norms are
// close.
void canonicalise(float *theta, const NetworkShape &);

// Unit `unit` of group `group` of the network's symmetries (of a chain: its hidden layers) takes the place of unit
// order[unit].
void permute_units(float *theta, const NetworkShape &, int group, const std::vector<int> &order);

// A random order of every hidden layer's units, and random factors, of stream `stream`. Factors that the activation
// does not allow throw InputError (check_factors).
void shuffle_units(float *theta, const NetworkShape &, const UnitFactors &, std::uint64_t seed, std::uint32_t stream);
void check_factors(const NetworkShape &, const UnitFactors &);

} // namespace theta
