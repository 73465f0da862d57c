#include "activations.h"
#include "kernels/device/names.h"

namespace theta {

namespace {
constexpr std::array names{"none", "relu", "leaky_relu", "elu", "silu", "gelu", "gelu_tanh", "tanh", "sine"};
}

Activation activation_named(std::string_view name) { return value_named<Activation>(name, names, "activation"); }
const char *name_of(Activation act) { return names[std::size_t(act)]; }

} // namespace theta
