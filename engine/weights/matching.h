// Which unit of one network is which of another: weight matching (Ainsworth et al., "Git Re-Basin", 2023).
#pragma once
#include "unit_elements.h"
#include <memory>
#include <mutex>

namespace theta {

// The order of each group of unit_elements(), one applied after another: unit u takes the place of unit order[u].
using UnitOrders = std::vector<std::vector<int>>;

class UnitMatcher {
public:
  // Each group in turn by an exact assignment, those within heads too. Searches from the order that units have, from the one that suits those elements best that one group alone moves,
  // and from `starts` − 2 random ones.
  explicit UnitMatcher(const NetworkShape &, int starts = 1);

  // Whether what it finds is the best there is: no element moves with two groups.
  bool is_exact() const { return is_exact_; }
  // Made when it is first asked for: whoever only plans needs nothing as large as a network.
  const ElementOwners &owners() const;

  // Brings units to where they are nearest to `reference`'s: each group by an exact assignment, again and again until
  // nothing changes; of several starts the nearest. Both are compared as they are: balance them first (symmetry.h).
  // Returns the orders that do so, for permute_units.
  UnitOrders match(float *theta, const float *reference) const;

private:
  UnitOrders descend(float *theta, const float *reference) const;
  void set_out(float *theta, const float *reference, int start, UnitOrders &orders) const;

  struct Owners {
    std::once_flag made;
    ElementOwners all;
  };
  NetworkShape shape_;
  std::vector<UnitElements> groups_;
  bool is_exact_;
  int starts_;
  std::shared_ptr<Owners> owners_ = std::make_shared<Owners>();
};

UnitOrders match_units(float *theta, const float *reference, const NetworkShape &); // from the order that units have

} // namespace theta
