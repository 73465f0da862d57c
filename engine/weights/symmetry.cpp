#include "symmetry.h"
#include "engine/networks/kind.h"
#include "unit_elements.h"
#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>

namespace theta {

bool can_balance(const NetworkShape &shape) {
  return is_chain(shape.kind->symmetries(shape), layout_of(shape).places().size());
}

UnitLayers unit_layers(const NetworkShape &shape) {
  const Layout layout = layout_of(shape);
  const auto &tensors = layout.places();
  const Symmetries groups = shape.kind->symmetries(shape);
  if (!is_chain(groups, tensors.size()))
    throw InputError("symmetry: found networks whose units are not those of layers in a chain, expected a ",
                     "weight and a bias a layer");
  UnitLayers all;
  all.omega = shape.kind->program(shape).omega();
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

void canonicalise(float *theta, const NetworkShape &shape) {
  if (can_balance(shape))
    balance(theta, shape);
  for (const UnitElements &group : unit_elements(shape)) {
    std::vector<double> norm(group.units, 0);
    for (std::size_t u = 0; u < group.units; ++u)
      group.each_pair(u, u, [&](std::size_t at, std::size_t) { norm[u] += double(theta[at]) * theta[at]; });
    std::vector<int> sorted(group.units), order(group.units);
    std::iota(sorted.begin(), sorted.end(), 0);
    std::stable_sort(sorted.begin(), sorted.end(),
                     [&](int a, int b) { return norm[std::size_t(a)] < norm[std::size_t(b)]; });
    for (std::size_t place = 0; place < group.units; ++place)
      order[std::size_t(sorted[place])] = int(place);
    permute(theta, group, order);
  }
}

void permute_units(float *theta, const NetworkShape &shape, int group, const std::vector<int> &order) {
  permute(theta, unit_elements(shape)[std::size_t(group)], order);
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

} // namespace theta
