// Where units have their elements in a flattened network, and which elements belong to whom.
#pragma once
#include "engine/networks/network.h"
#include "engine/networks/symmetries.h"

namespace theta {

// A group of units that may change places (networks/symmetries.h): along each axis, unit u has the elements [outer,
// part, u, inner] of a tensor, outers and parts so far apart.
struct UnitElements {
  struct Axis {
    std::size_t offset, outer, outer_step, parts, part_step, inner;

    // f(the element that unit 0 begins at) for every outer and part.
    template <class F> void each(F f) const {
      for (std::size_t o = 0; o < outer; ++o)
        for (std::size_t p = 0; p < parts; ++p)
          f(offset + o * outer_step + p * part_step);
    }
  };
  std::size_t units;
  std::vector<Axis> axes;
  // Of heads: which groups of unit_elements() are those within them. Head h has `within` + 2·h, its queries and keys, and
  // the next, its values; they belong to its place, whoever is there. 0: units have none.
  std::size_t within = 0;

  // f(of unit u, of unit v) for every pair of elements in the same place.
  template <class F> void each_pair(std::size_t u, std::size_t v, F f) const {
    for (const Axis &a : axes)
      a.each([&](std::size_t at) {
        for (std::size_t i = 0; i < a.inner; ++i)
          f(at + u * a.inner + i, at + v * a.inner + i);
      });
  }
};
// The groups that symmetries() has, in their order, then those within heads.
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
