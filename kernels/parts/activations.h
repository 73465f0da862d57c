// Non-linearities and their slopes, a number at a time; simd.h has them for packs.
#pragma once
#include "kernels/device/host_device.h"
#include <cmath>
#include <span>
#include <string_view>

namespace theta {

// leaky_relu has slope 0.01, elu alpha 1; gelu is the exact one (erf), gelu_tanh its approximation; sine is
// sin(omega·x) (Sitzmann et al., "SIREN", 2020).
inline constexpr float usual_omega = 30;
enum class Activation { none, relu, leaky_relu, elu, silu, gelu, gelu_tanh, tanh, sine };

// The activation of that name ("relu", "silu", ...). Throws InputError for another.
Activation activation_named(std::string_view name);
const char *name_of(Activation);
std::span<const char *const> names_of_activations(); // of every value, in their order

// act(x), in T arithmetic.
template <class T> THETA_HOST_DEVICE inline T activate(Activation act, T x, T omega = T(usual_omega)) {
  switch (act) {
  case Activation::relu:
    return x > 0 ? x : T(0);
  case Activation::leaky_relu:
    return x > 0 ? x : T(0.01) * x;
  case Activation::elu:
    return x > 0 ? x : std::expm1(x);
  case Activation::silu:
    return x / (1 + std::exp(-x));
  case Activation::gelu:
    return T(0.5) * x * (1 + std::erf(x * T(0.70710678118654752440)));
  case Activation::gelu_tanh:
    return T(0.5) * x * (1 + std::tanh(T(0.79788456080286535588) * (x + T(0.044715) * x * x * x)));
  case Activation::tanh:
    return std::tanh(x);
  case Activation::sine:
    return std::sin(omega * x);
  default:
    return x;
  }
}

// d act(x) / dx.
template <class T> THETA_HOST_DEVICE inline T activation_slope(Activation act, T x, T omega = T(usual_omega)) {
  switch (act) {
  case Activation::relu:
    return x > 0 ? T(1) : T(0);
  case Activation::leaky_relu:
    return x > 0 ? T(1) : T(0.01);
  case Activation::elu:
    return x > 0 ? T(1) : std::exp(x);
  case Activation::silu: {
    const T s = 1 / (1 + std::exp(-x));
    return s * (1 + x * (1 - s));
  }
  case Activation::gelu:
    return T(0.5) * (1 + std::erf(x * T(0.70710678118654752440))) +
           x * T(0.39894228040143267794) * std::exp(T(-0.5) * x * x);
  case Activation::gelu_tanh: {
    const T c = T(0.79788456080286535588), u = std::tanh(c * (x + T(0.044715) * x * x * x));
    return T(0.5) * (1 + u) + T(0.5) * x * (1 - u * u) * c * (1 + 3 * T(0.044715) * x * x);
  }
  case Activation::tanh: {
    const T u = std::tanh(x);
    return 1 - u * u;
  }
  case Activation::sine:
    return omega * std::cos(omega * x);
  default:
    return T(1);
  }
}

} // namespace theta
