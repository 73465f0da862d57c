#include "matching.h"
#include "assignment.h"
#include "engine/networks/kind.h"
#include "kernels/device/philox.h"
#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>

namespace theta {

namespace {

// Group `group` moves by `order` after all that is in `orders`. Heads take with them what was done within them.
void add_order(UnitOrders &orders, const std::vector<UnitElements> &groups, std::size_t group,
               const std::vector<int> &order) {
  if (const std::size_t within = groups[group].within; within > 0) {
    const UnitOrders before(orders.begin() + std::ptrdiff_t(within),
                            orders.begin() + std::ptrdiff_t(within + 2 * groups[group].units));
    for (std::size_t head = 0; head < groups[group].units; ++head)
      for (const std::size_t which : {0, 1})
        orders[within + 2 * std::size_t(order[head]) + which] = before[2 * head + which];
  }
  for (int &place : orders[group])
    place = order[std::size_t(place)];
}

UnitOrders at_home(const std::vector<UnitElements> &groups) {
  UnitOrders all;
  for (const UnitElements &group : groups) {
    all.emplace_back(group.units);
    std::iota(all.back().begin(), all.back().end(), 0);
  }
  return all;
}

// Whether no tensor's elements move along two axes.
bool moves_alone(const NetworkShape &shape) {
  std::set<std::size_t> moved;
  for (const UnitGroup &group : shape.kind->symmetries(shape))
    for (const UnitAxis &axis : group.axes)
      if (!moved.insert(axis.tensor).second)
        return false;
  return true;
}

} // namespace

UnitMatcher::UnitMatcher(const NetworkShape &shape, int starts)
    : shape_(shape), groups_(unit_elements(shape)), is_exact_(moves_alone(shape)), starts_(is_exact_ ? 1 : starts) {}

const ElementOwners &UnitMatcher::owners() const {
  std::call_once(owners_->made, [&] { owners_->all = element_owners(shape_); });
  return owners_->all;
}

UnitOrders UnitMatcher::descend(float *theta, const float *reference) const {
  constexpr int most_rounds = 100;
  UnitOrders all = at_home(groups_);
  std::vector<double> cost;
  for (int round = 0; round < most_rounds; ++round) {
    bool changed = false;
    for (std::size_t g = 0; g < groups_.size(); ++g) {
      const std::size_t n = groups_[g].units;
      cost.clear();
      for (std::size_t u = 0; u < n; ++u)
        for (std::size_t v = 0; v < n; ++v) {
          double product = 0;
          groups_[g].each_pair(u, v, [&](std::size_t a, std::size_t b) { product += double(theta[a]) * reference[b]; });
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
      permute(theta, groups_[g], order), add_order(all, groups_, g, order), changed = true;
    }
    if (!changed)
      break;
  }
  return all;
}

// Units to where search number `start` begins.
void UnitMatcher::set_out(float *theta, const float *reference, int start, UnitOrders &orders) const {
  for (std::size_t g = 0; start > 0 && g < groups_.size(); ++g) {
    const ElementOwners::Own &own = owners().groups[g];
    std::vector<int> order(own.units);
    if (start == 1) {
      std::vector<double> cost;
      for (std::size_t u = 0; u < own.units; ++u)
        for (std::size_t v = 0; v < own.units; ++v) {
          double product = 0;
          for (std::size_t e = 0; e < own.width; ++e)
            product += double(theta[own.place[u * own.width + e]]) * reference[own.place[v * own.width + e]];
          cost.push_back(-product);
        }
      order = assign(cost, int(own.units));
    } else {
      const auto stream = std::uint32_t(std::size_t(start) * groups_.size() + g);
      for (std::size_t u = 0; u < own.units; ++u)
        order[u] = int(shuffled(0, Purpose::unit_order, stream, u, std::uint32_t(own.units)));
    }
    permute(theta, groups_[g], order), add_order(orders, groups_, g, order);
  }
}

UnitOrders UnitMatcher::match(float *theta, const float *reference) const {
  if (starts_ == 1)
    return descend(theta, reference);
  std::size_t v = owners().fixed.size();
  for (const auto &own : owners().groups)
    v += own.place.size();
  for (const auto &shared : owners().shared)
    v += shared.size();
  const std::vector<float> before(theta, theta + v);
  std::vector<float> now(v);
  UnitOrders best;
  double nearest = 0;
  for (int start = 0; start < starts_; ++start) {
    now = before;
    UnitOrders orders = at_home(groups_);
    set_out(now.data(), reference, start, orders);
    const UnitOrders then = descend(now.data(), reference);
    double product = 0;
    for (std::size_t i = 0; i < v; ++i)
      product += double(now[i]) * reference[i];
    if (start > 0 && !(product > nearest))
      continue;
    nearest = product, best = std::move(orders);
    for (std::size_t g = 0; g < best.size(); ++g)
      add_order(best, groups_, g, then[g]);
    std::copy(now.begin(), now.end(), theta);
  }
  return best;
}

UnitOrders match_units(float *theta, const float *reference, const NetworkShape &shape) {
  return UnitMatcher(shape).match(theta, reference);
}

} // namespace theta
