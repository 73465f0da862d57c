// Which unit of one network is which of another: weight matching (Ainsworth et al., "Git Re-Basin", 2023).
#pragma once
#include "unit_elements.h"

namespace theta {

// The order of each group of units: unit u takes the place of unit order[u].
using UnitOrders = std::vector<std::vector<int>>;

class UnitMatcher {
public:
  // Searches from the order that units have, from the one that suits those elements best that one group alone moves,
  // and from `starts` − 2 random ones.
  explicit UnitMatcher(const NetworkShape &, int starts = 1);

  // Whether what it finds is the best there is: no element moves with two groups.
  bool is_exact() const { return owners_.shared.empty(); }
  const ElementOwners &owners() const { return owners_; }

  // Brings units to where they are nearest to `reference`'s: each group by an exact assignment, again and again until
  // nothing changes; of several starts the nearest. Both are compared as they are: balance them first (symmetry.h).
  // Returns the orders that do so, for permute_units.
  UnitOrders match(float *theta, const float *reference) const;

private:
  UnitOrders descend(float *theta, const float *reference) const;
  void set_out(float *theta, const float *reference, int start, UnitOrders &orders) const;

  int starts_;
  std::vector<UnitElements> groups_;
  ElementOwners owners_;
};

UnitOrders match_units(float *theta, const float *reference, const NetworkShape &); // from the order that units have

} // namespace theta
