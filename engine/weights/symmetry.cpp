#include "symmetry.h"
#include "assignment.h"
#include "engine/networks/kind.h"
#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>

namespace theta {

namespace {

// A group's units in the flat vector: along each axis, unit u has the elements [outer, u, inner] of a tensor.
struct Units {
  struct Axis {
    std::size_t offset, outer, inner;
  };
  std::size_t units;
  std::vector<Axis> axes;

  // f(of unit u, of unit v) for every pair of elements in the same place.
  template <class F> void each_pair(std::size_t u, std::size_t v, F f) const {
    for (const Axis &a : axes)
      for (std::size_t o = 0; o < a.outer; ++o)
        for (std::size_t i = 0; i < a.inner; ++i)
          f(a.offset + (o * units + u) * a.inner + i, a.offset + (o * units + v) * a.inner + i);
  }
};

std::vector<Units> units_of(const NetworkShape &shape) {
  const Layout layout = layout_of(shape);
  std::vector<Units> all;
  for (const UnitGroup &group : shape.kind->symmetries(shape)) {
    Units units{std::size_t(group.units), {}};
    for (const UnitAxis &axis : group.axes) {
      const TensorPlace &tensor = layout.places()[axis.tensor];
      std::size_t outer = 1, inner = std::size_t(axis.run);
      for (std::size_t d = 0; d < tensor.shape.size(); ++d)
        (int(d) < axis.axis ? outer : inner) *= int(d) == axis.axis ? 1 : std::size_t(tensor.shape[d]);
      units.axes.push_back({tensor.offset, outer, inner});
    }
    all.push_back(std::move(units));
  }
  return all;
}

void permute(float *theta, const Units &units, const std::vector<int> &order) {
  std::size_t end = 0;
  for (const Units::Axis &a : units.axes)
    end = std::max(end, a.offset + a.outer * units.units * a.inner);
  const std::vector<float> before(theta, theta + end);
  for (std::size_t from = 0; from < units.units; ++from)
    units.each_pair(from, std::size_t(order[from]), [&](std::size_t at, std::size_t to) { theta[to] = before[at]; });
}

} // namespace

UnitLayers unit_layers(const NetworkShape &shape) {
  const Layout layout = layout_of(shape);
  const auto &tensors = layout.places();
  const Symmetries groups = shape.kind->symmetries(shape);
  const auto is_chain = [&] {
    if (tensors.size() != 2 * (groups.size() + 1))
      return false;
    for (std::size_t l = 0; l < groups.size(); ++l)
      for (const UnitAxis &axis : groups[l].axes)
        if (axis.tensor != 2 * l + (axis.role == UnitAxis::Role::incoming ? 0
                                    : axis.role == UnitAxis::Role::bias   ? 1
                                                                          : 2) ||
            axis.axis != (axis.role == UnitAxis::Role::outgoing))
          return false;
    return true;
  };
  if (!is_chain())
    throw InputError("symmetry: found networks whose units are not those of layers in a chain, expected a ",
                     "weight and a bias a layer");
  UnitLayers all;
  all.omega = shape.omega;
  all.width[0] = int(tensors[0].shape[1]);
  for (std::size_t l = 0; l <= groups.size(); ++l) {
    const std::size_t out = std::size_t(tensors[2 * l].shape[0]), in = std::size_t(all.width[l]);
    all.add(int(out), int(elements_of(tensors[2 * l]) / (out * in)), l < groups.size() && groups[l].pooled);
  }
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
  const UnitLayers layers = unit_layers(shape);
  for (int pass = 0, passes = balance_passes(shape); pass < passes; ++pass)
    balance_units<float>(host, theta, 1, layers, unit_balance(shape));
}

void permute_units(float *theta, const NetworkShape &shape, int group, const std::vector<int> &order) {
  permute(theta, units_of(shape)[std::size_t(group)], order);
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
  const auto groups = units_of(shape);
  UnitOrders all;
  for (const Units &group : groups) {
    all.emplace_back(group.units);
    std::iota(all.back().begin(), all.back().end(), 0);
  }
  for (int round = 0; round < most_rounds; ++round) {
    bool changed = false;
    for (std::size_t g = 0; g < groups.size(); ++g) {
      const std::size_t n = groups[g].units;
      std::vector<double> cost;
      for (std::size_t u = 0; u < n; ++u)
        for (std::size_t v = 0; v < n; ++v) {
          double product = 0;
          groups[g].each_pair(u, v, [&](std::size_t a, std::size_t b) { product += double(theta[a]) * reference[b]; });
          cost.push_back(-product);
        }
      const auto order = assign(cost, int(n));
      double before = 0, after = 0;
      for (std::size_t u = 0; u < n; ++u) {
        before += cost[u * n + u];
        after += cost[u * n + std::size_t(order[u])];
      }
      if (!(after < before - 1e-9 * std::abs(before)))
        continue;
      permute(theta, groups[g], order), changed = true;
      for (int &place : all[g])
        place = order[std::size_t(place)];
    }
    if (!changed)
      break;
  }
  return all;
}

} // namespace theta
