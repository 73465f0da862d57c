#include "symmetry.h"
#include "assignment.h"
#include "kernels/philox.h"
#include <algorithm>
#include <cmath>
#include <numeric>

namespace theta {

namespace {

// A hidden layer: its units' incoming weights [units, in] and biases, and the next layer's weights [out, units].
struct Hidden {
  int units, in, out;
  std::size_t weight, bias, next;
};

Hidden hidden_layer(const NetworkShape &shape, int layer) {
  if (!has_unit_symmetries(shape))
    throw InputError("symmetry: found a ", name_of(shape.kind), ", expected a perceptron");
  std::size_t offset = 0;
  for (int l = 0; l < layer; ++l)
    offset += std::size_t(shape.widths[std::size_t(l)] + 1) * std::size_t(shape.widths[std::size_t(l) + 1]);
  const int in = shape.widths[std::size_t(layer)], units = shape.widths[std::size_t(layer) + 1];
  const std::size_t bias = offset + std::size_t(in) * std::size_t(units);
  return {units, in, shape.widths[std::size_t(layer) + 2], offset, bias, bias + std::size_t(units)};
}

int hidden_layers(const NetworkShape &shape) { return std::max(0, int(shape.widths.size()) - 2); }

// Calls f(weight) for all that comes into a unit, or all that leaves it.
template <class F> void for_incoming(float *theta, const Hidden &h, int u, F f) {
  for (int i = 0; i < h.in; ++i)
    f(theta[h.weight + std::size_t(u) * std::size_t(h.in) + std::size_t(i)]);
  f(theta[h.bias + std::size_t(u)]);
}
template <class F> void for_outgoing(float *theta, const Hidden &h, int u, F f) {
  for (int o = 0; o < h.out; ++o)
    f(theta[h.next + std::size_t(o) * std::size_t(h.units) + std::size_t(u)]);
}

double dot_of_units(const float *a, const float *b, const Hidden &h, int u, int v) {
  double sum = double(a[h.bias + std::size_t(u)]) * b[h.bias + std::size_t(v)];
  for (int i = 0; i < h.in; ++i)
    sum += double(a[h.weight + std::size_t(u) * std::size_t(h.in) + std::size_t(i)]) *
           b[h.weight + std::size_t(v) * std::size_t(h.in) + std::size_t(i)];
  for (int o = 0; o < h.out; ++o)
    sum += double(a[h.next + std::size_t(o) * std::size_t(h.units) + std::size_t(u)]) *
           b[h.next + std::size_t(o) * std::size_t(h.units) + std::size_t(v)];
  return sum;
}

} // namespace

bool has_unit_symmetries(const NetworkShape &shape) { return shape.kind != NetworkKind::cnn; }

namespace {

// One pass over the layers; returns whether a unit changed by more than rounding.
bool balance_once(float *theta, const NetworkShape &shape) {
  bool changed = false;
  for (int layer = 0; layer < hidden_layers(shape); ++layer) {
    const Hidden h = hidden_layer(shape, layer);
    for (int u = 0; u < h.units; ++u) {
      double in = 0, out = 0;
      float largest = 0;
      for_incoming(theta, h, u, [&](float w) {
        in += double(w) * w;
        largest = std::abs(w) > std::abs(largest) ? w : largest;
      });
      for_outgoing(theta, h, u, [&](float w) { out += double(w) * w; });
      double factor_in = 1, factor_out = 1;
      switch (shape.act) {
      case Activation::relu:
      case Activation::leaky_relu:
        if (in > 0 && out > 0)
          factor_in = std::pow(out / in, 0.25), factor_out = 1 / factor_in;
        break;
      case Activation::tanh:
      case Activation::sine:
        if (largest < 0)
          factor_in = factor_out = -1;
        break;
      default:
        break;
      }
      if (std::abs(factor_in - 1) <= 1e-6)
        continue;
      changed = true;
      for_incoming(theta, h, u, [&](float &w) { w = float(w * factor_in); });
      for_outgoing(theta, h, u, [&](float &w) { w = float(w * factor_out); });
    }
  }
  return changed;
}

} // namespace

// Balancing a layer disturbs the one before it, by less each time.
void balance(float *theta, const NetworkShape &shape) {
  constexpr int most_passes = 100;
  for (int pass = 0; pass < most_passes && balance_once(theta, shape);)
    ++pass;
}

void permute_units(float *theta, const NetworkShape &shape, int layer, const std::vector<int> &order) {
  const Hidden h = hidden_layer(shape, layer);
  std::vector<float> before(theta + h.weight, theta + h.next + std::size_t(h.out) * std::size_t(h.units));
  const float *old = before.data();
  const std::size_t bias = h.bias - h.weight, next = h.next - h.weight;
  for (int u = 0; u < h.units; ++u) {
    const auto from = std::size_t(u), to = std::size_t(order[std::size_t(u)]);
    std::copy_n(old + from * std::size_t(h.in), h.in, theta + h.weight + to * std::size_t(h.in));
    theta[h.bias + to] = old[bias + from];
    for (int o = 0; o < h.out; ++o)
      theta[h.next + std::size_t(o) * std::size_t(h.units) + to] =
          old[next + std::size_t(o) * std::size_t(h.units) + from];
  }
}

void shuffle_units(float *theta, const NetworkShape &shape, std::uint64_t seed, std::uint32_t stream) {
  for (int layer = 0; layer < hidden_layers(shape); ++layer) {
    const auto units = std::uint32_t(shape.widths[std::size_t(layer) + 1]);
    const RandomOrder random(seed, Purpose::unit_order, stream, std::uint64_t(layer), units);
    std::vector<int> order;
    for (std::uint32_t u = 0; u < units; ++u)
      order.push_back(int(random(u)));
    permute_units(theta, shape, layer, order);
  }
}

void match_units(float *theta, const float *reference, const NetworkShape &shape) {
  constexpr int most_rounds = 100;
  for (int round = 0; round < most_rounds; ++round) {
    bool changed = false;
    for (int layer = 0; layer < hidden_layers(shape); ++layer) {
      const Hidden h = hidden_layer(shape, layer);
      std::vector<double> cost;
      for (int u = 0; u < h.units; ++u)
        for (int v = 0; v < h.units; ++v)
          cost.push_back(-dot_of_units(theta, reference, h, u, v));
      const auto order = assign(cost, h.units);
      double before = 0, after = 0;
      for (int u = 0; u < h.units; ++u) {
        before += cost[std::size_t(u * h.units + u)];
        after += cost[std::size_t(u * h.units + order[std::size_t(u)])];
      }
      if (after < before - 1e-9 * std::abs(before))
        permute_units(theta, shape, layer, order), changed = true;
    }
    if (!changed)
      return;
  }
}

} // namespace theta
