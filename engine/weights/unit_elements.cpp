#include "unit_elements.h"
#include "engine/networks/kind.h"
#include <algorithm>

namespace theta {

UnitElements elements_of(const UnitGroup &group, const Layout &layout) {
  UnitElements units{std::size_t(group.units), {}};
  for (const UnitAxis &axis : group.axes) {
    const TensorPlace &tensor = layout.places()[axis.tensor];
    std::size_t outer = 1, inner = std::size_t(axis.run), parts = 1;
    for (std::size_t d = 0; d < tensor.shape.size(); ++d)
      if (int(d) == axis.axis) // several times all units, one after another
        parts = std::size_t(tensor.shape[d]) / (units.units * std::size_t(axis.run));
      else
        (int(d) < axis.axis ? outer : inner) *= std::size_t(tensor.shape[d]);
    const std::size_t of_all = units.units * inner;
    units.axes.push_back({tensor.offset, outer, parts * of_all, parts, of_all, inner});
  }
  return units;
}

namespace {

// Of one head, from the axes of all: `queries`: of its queries and keys; else of its values and what comes of them.
UnitElements within_head(const UnitElements &heads, std::size_t size, std::size_t head, bool queries) {
  UnitElements units{size, {}};
  for (const UnitElements::Axis &a : heads.axes) {
    UnitElements::Axis own = a;
    own.offset += head * a.inner, own.inner = a.inner / size;
    if (a.parts == 3)
      own.parts = queries ? 2 : 1, own.offset += queries ? 0 : 2 * a.part_step;
    else if (queries)
      continue;
    units.axes.push_back(own);
  }
  return units;
}

} // namespace

std::vector<UnitElements> unit_elements(const NetworkShape &shape) {
  const Layout layout = layout_of(shape);
  const Symmetries groups = shape.kind->symmetries(shape);
  std::vector<UnitElements> all;
  for (const UnitGroup &group : groups)
    all.push_back(elements_of(group, layout));
  for (std::size_t g = 0; g < groups.size(); ++g)
    if (groups[g].head > 1) {
      all[g].within = all.size();
      for (std::size_t head = 0; head < all[g].units; ++head)
        for (const bool queries : {true, false})
          if (!queries || !groups[g].turned)
            all.push_back(within_head(all[g], std::size_t(groups[g].head), head, queries));
    }
  return all;
}

// Axis by axis: a tensor may lie along a group's units twice.
void permute(float *theta, const UnitElements &units, const std::vector<int> &order) {
  std::vector<float> before;
  for (const UnitElements::Axis &a : units.axes)
    a.each([&](std::size_t at) {
      float *part = theta + at;
      before.assign(part, part + units.units * a.inner);
      for (std::size_t from = 0; from < units.units; ++from)
        std::copy_n(before.data() + from * a.inner, a.inner, part + std::size_t(order[from]) * a.inner);
    });
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
