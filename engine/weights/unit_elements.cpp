#include "unit_elements.h"
#include "engine/networks/kind.h"
#include <algorithm>

namespace theta {

UnitElements elements_of(const UnitGroup &group, const Layout &layout) {
  UnitElements units{std::size_t(group.units), {}};
  for (const UnitAxis &axis : group.axes) {
    const TensorPlace &tensor = layout.places()[axis.tensor];
    std::size_t outer = 1, inner = std::size_t(axis.run);
    for (std::size_t d = 0; d < tensor.shape.size(); ++d)
      if (int(d) == axis.axis) // several times all units, one after another
        outer *= std::size_t(tensor.shape[d]) / (units.units * std::size_t(axis.run));
      else
        (int(d) < axis.axis ? outer : inner) *= std::size_t(tensor.shape[d]);
    units.axes.push_back({tensor.offset, outer, inner});
  }
  return units;
}

std::vector<UnitElements> unit_elements(const NetworkShape &shape) {
  const Layout layout = layout_of(shape);
  std::vector<UnitElements> all;
  for (const UnitGroup &group : shape.kind->symmetries(shape))
    all.push_back(elements_of(group, layout));
  return all;
}

// Axis by axis: a tensor may lie along a group's units twice.
void permute(float *theta, const UnitElements &units, const std::vector<int> &order) {
  std::vector<float> before;
  for (const UnitElements::Axis &a : units.axes) {
    const std::size_t of_all = units.units * a.inner;
    for (std::size_t o = 0; o < a.outer; ++o) {
      float *part = theta + a.offset + o * of_all;
      before.assign(part, part + of_all);
      for (std::size_t from = 0; from < units.units; ++from)
        std::copy_n(before.data() + from * a.inner, a.inner, part + std::size_t(order[from]) * a.inner);
    }
  }
}

ElementOwners element_owners(const NetworkShape &shape) {
  const Layout layout = layout_of(shape);
  const auto groups = unit_elements(shape);
  std::vector<int> movers(layout.size(), 0); // axes that an element moves along
  for (const UnitElements &group : groups)
    for (std::size_t u = 0; u < group.units; ++u)
      group.each_pair(u, u, [&](std::size_t at, std::size_t) { ++movers[at]; });
  ElementOwners all;
  for (const UnitElements &group : groups) {
    ElementOwners::Own own{group.units, 0, {}};
    for (std::size_t u = 0; u < group.units; ++u)
      group.each_pair(u, u, [&](std::size_t at, std::size_t) {
        if (movers[at] == 1)
          own.place.push_back(std::uint32_t(at));
      });
    own.width = own.place.size() / own.units;
    all.groups.push_back(std::move(own));
  }
  for (const TensorPlace &tensor : layout.places()) {
    std::vector<std::uint32_t> shared;
    for (std::size_t at = tensor.offset; at < tensor.offset + elements_of(tensor); ++at)
      if (movers[at] > 1)
        shared.push_back(std::uint32_t(at));
      else if (movers[at] == 0)
        all.fixed.push_back(std::uint32_t(at));
    if (!shared.empty())
      all.shared.push_back(std::move(shared));
  }
  return all;
}

} // namespace theta
