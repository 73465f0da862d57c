// Do two generators that have learned different networks make the same of the same noise?
#pragma once
#include "baselines.h"
#include "group_report.h"

namespace theta {

// Value "twin_l2" of network i: its distance to network i of the other generator, whose noise was the same; and figure
// "agreement": the mean of that over the mean distance of networks i and i + 1 of the group. 1: they have nothing in
// common but what they have learned from; 0: what they have learned is one and the same distribution (Kadkhodaie et
// al., 2024).
using DistanceOf = std::function<float(const std::vector<float> &a, const std::vector<float> &b)>; // of [V] each
void judge_agreement(const DistanceOf &, std::size_t parameters, const NetworkSet &group, const NetworkSet &twin,
                     GroupReport &);

} // namespace theta
