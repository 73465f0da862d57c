#include "symmetry.h"
#include "assignment.h"
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

UnitBalance unit_balance(const NetworkShape &shape) {
  switch (shape.act) {
  case Activation::relu:
  case Activation::leaky_relu:
    return UnitBalance::norms;
  case Activation::tanh:
    return UnitBalance::signs;
  case Activation::sine:
    return UnitBalance::phases;
  default:
    return UnitBalance::none;
  }
}

int balance_passes(const NetworkShape &shape) {
  return unit_balance(shape) == UnitBalance::norms && hidden_layers(shape) > 1 ? 20 : 1;
}

void balance(float *theta, const NetworkShape &shape) {
  if (!has_unit_symmetries(shape))
    throw InputError("symmetry: found a ", name_of(shape.kind), ", expected a perceptron");
  Stream host{Device{}};
  for (int pass = 0; pass < balance_passes(shape); ++pass)
    balance_units<float>(host, theta, 1, PerceptronWidths::of(shape.widths), unit_balance(shape));
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

void check_factors(const NetworkShape &shape, const UnitFactors &f) {
  const UnitBalance kind = unit_balance(shape);
  if (f.signs && kind != UnitBalance::signs && kind != UnitBalance::phases)
    throw InputError("symmetry: found signs of units with ", name_of(shape.act), ", expected tanh or sine");
  if (f.spread > 0 && kind != UnitBalance::norms)
    throw InputError("symmetry: found scales of units with ", name_of(shape.act), ", expected relu or leaky_relu");
}

void shuffle_units(float *theta, const NetworkShape &shape, const UnitFactors &factors, std::uint64_t seed,
                   std::uint32_t stream) {
  check_factors(shape, factors);
  Stream host{Device{}};
  const auto widths = PerceptronWidths::of(shape.widths);
  const std::vector<float> before(theta, theta + widths.parameters());
  shuffle_units<float>(host, theta, before.data(), 1, 0, widths, factors, {seed, Purpose::unit_order, stream, 0});
}

UnitOrders match_units(float *theta, const float *reference, const NetworkShape &shape) {
  constexpr int most_rounds = 100;
  UnitOrders all;
  for (int layer = 0; layer < hidden_layers(shape); ++layer) {
    all.emplace_back(static_cast<std::size_t>(shape.widths[std::size_t(layer) + 1]));
    std::iota(all.back().begin(), all.back().end(), 0);
  }
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
      else
        continue;
      for (int &place : all[std::size_t(layer)])
        place = order[std::size_t(place)];
    }
    if (!changed)
      break;
  }
  return all;
}

} // namespace theta
