#include "symmetry.h"
#include "assignment.h"
#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>

namespace theta {

namespace {

// A hidden layer: its units' incoming weights [units, in] and biases, and the next layer's weights [out, units, taps].
struct Hidden {
  std::size_t units, in, out, taps, weight, bias, next;

  std::size_t leaving() const { return out * taps; }
  std::size_t incoming_at(std::size_t u, std::size_t i) const { return weight + u * in + i; }
  std::size_t leaving_at(std::size_t u, std::size_t i) const { return next + (i / taps * units + u) * taps + i % taps; }
};

Hidden hidden_layer(const UnitLayers &w, int layer) {
  std::size_t offset = 0;
  for (int l = 0; l < layer; ++l)
    offset += w.size(l);
  return {std::size_t(w.width[layer + 1]),
          w.incoming(layer),
          std::size_t(w.width[layer + 2]),
          std::size_t(w.taps[layer + 1]),
          offset,
          offset + w.weights(layer),
          offset + w.size(layer)};
}

double dot_of_units(const float *a, const float *b, const Hidden &h, std::size_t u, std::size_t v) {
  double sum = double(a[h.bias + u]) * b[h.bias + v];
  for (std::size_t i = 0; i < h.in; ++i)
    sum += double(a[h.incoming_at(u, i)]) * b[h.incoming_at(v, i)];
  for (std::size_t i = 0; i < h.leaving(); ++i)
    sum += double(a[h.leaving_at(u, i)]) * b[h.leaving_at(v, i)];
  return sum;
}

} // namespace

UnitLayers unit_layers(const NetworkShape &shape) {
  if (shape.kind != NetworkKind::cnn)
    return UnitLayers::of(shape.widths);
  const CnnTraining p = cnn_training_of(shape, 1);
  UnitLayers all;
  all.width[0] = p.channels;
  for (int l = 0; l < p.layers; ++l)
    all.add(p.layer[l].channels, p.layer[l].kernel * p.layer[l].kernel, p.layer[l].pool > 1);
  return all;
}

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
  const int hidden = unit_layers(shape).layers - 1;
  if (unit_balance(shape) != UnitBalance::norms || hidden < 2)
    return 1;
  const double left = std::pow(std::cos(std::numbers::pi / (hidden + 1)), 2);
  return std::min(64, int(std::ceil(std::log(1e-6) / std::log(left))));
}

void balance(float *theta, const NetworkShape &shape) {
  Stream host{Device{}};
  for (int pass = 0; pass < balance_passes(shape); ++pass)
    balance_units<float>(host, theta, 1, unit_layers(shape), unit_balance(shape));
}

void permute_units(float *theta, const NetworkShape &shape, int layer, const std::vector<int> &order) {
  const Hidden h = hidden_layer(unit_layers(shape), layer);
  const std::vector<float> before(theta, theta + h.next + h.leaving() * h.units);
  for (std::size_t from = 0; from < h.units; ++from) {
    const auto to = std::size_t(order[from]);
    for (std::size_t i = 0; i < h.in; ++i)
      theta[h.incoming_at(to, i)] = before[h.incoming_at(from, i)];
    theta[h.bias + to] = before[h.bias + from];
    for (std::size_t i = 0; i < h.leaving(); ++i)
      theta[h.leaving_at(to, i)] = before[h.leaving_at(from, i)];
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
  const UnitShuffle shuffle{unit_layers(shape), factors, {seed, Purpose::unit_order, stream, 0}};
  const std::size_t v = shuffle.layers.parameters();
  const std::vector<float> before(theta, theta + v), zero(v, 0), one(v, 1);
  std::vector<std::int32_t> place(v);
  std::iota(place.begin(), place.end(), 0);
  gather_tokens<float>(host, theta, before.data(), place.data(), zero.data(), one.data(), 1, 1, v, v, shuffle);
}

UnitOrders match_units(float *theta, const float *reference, const NetworkShape &shape) {
  constexpr int most_rounds = 100;
  const UnitLayers layers = unit_layers(shape);
  UnitOrders all;
  for (int layer = 0; layer + 1 < layers.layers; ++layer) {
    all.emplace_back(static_cast<std::size_t>(layers.width[layer + 1]));
    std::iota(all.back().begin(), all.back().end(), 0);
  }
  for (int round = 0; round < most_rounds; ++round) {
    bool changed = false;
    for (int layer = 0; layer + 1 < layers.layers; ++layer) {
      const Hidden h = hidden_layer(layers, layer);
      std::vector<double> cost;
      for (std::size_t u = 0; u < h.units; ++u)
        for (std::size_t v = 0; v < h.units; ++v)
          cost.push_back(-dot_of_units(theta, reference, h, u, v));
      const auto order = assign(cost, int(h.units));
      double before = 0, after = 0;
      for (std::size_t u = 0; u < h.units; ++u) {
        before += cost[u * h.units + u];
        after += cost[u * h.units + std::size_t(order[u])];
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
