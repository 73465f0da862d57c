// Where units have their elements in a flattened network, and which elements belong to whom.
#pragma once
#include "engine/networks/network.h"
#include "engine/networks/symmetries.h"

namespace theta {

// A group of units that may change places (networks/symmetries.h): along each axis, unit u has the elements [outer, u,
// inner] of a tensor.
struct UnitElements {
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
std::vector<UnitElements> unit_elements(const NetworkShape &);
UnitElements elements_of(const UnitGroup &, const Layout &);

// Unit `from` of the group takes the place of unit order[from].
void permute(float *theta, const UnitElements &, const std::vector<int> &order);

// A network's elements by who moves them: one group of units alone, several, or nobody.
struct ElementOwners {
  struct Own {
    std::size_t units, width;
    std::vector<std::uint32_t> place; // [units, width]
  };
  std::vector<Own> groups;                        // as unit_elements()
  std::vector<std::vector<std::uint32_t>> shared; // of one tensor each
  std::vector<std::uint32_t> fixed;
};
ElementOwners element_owners(const NetworkShape &);

} // namespace theta
