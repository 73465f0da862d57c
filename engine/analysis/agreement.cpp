#include "agreement.h"
#include <algorithm>
#include <cmath>

namespace theta {

void judge_agreement(const DistanceOf &distance, std::size_t v, const NetworkSet &group, const NetworkSet &twin,
                     GroupReport &report) {
  const std::size_t n = std::min(group.count, twin.count);
  if (n < 2)
    return;
  std::vector<float> mine(v), next(v), other(v), within;
  for (std::size_t i = 0; i < n; ++i) {
    group.network(i, mine.data()), group.network((i + 1) % n, next.data()), twin.network(i, other.data());
    report.values["twin_l2"].push_back(distance(mine, other));
    within.push_back(distance(mine, next));
  }
  const std::vector<float> &between = report.values["twin_l2"];
  report.figures["agreement"] = bootstrapped(n, 1000, [&](const std::vector<std::size_t> &of) {
    double here = 0, there = 0;
    for (const std::size_t i : of)
      if (std::isfinite(between[i]) && std::isfinite(within[i]))
        there += double(between[i]), here += double(within[i]);
    return here > 0 ? there / here : Estimate::none;
  });
}

} // namespace theta
