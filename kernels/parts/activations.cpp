#include "activations.h"
#include "kernels/device/names.h"

namespace theta {

namespace {
constexpr std::array activation_names{"none", "relu", "leaky_relu", "elu", "silu", "gelu", "gelu_tanh", "tanh", "sine"};
}

Activation activation_named(std::string_view name) {
  return value_named<Activation>(name, activation_names, "activation");
}
const char *name_of(Activation act) { return activation_names[std::size_t(act)]; }
std::span<const char *const> names_of_activations() { return activation_names; }

} // namespace theta
