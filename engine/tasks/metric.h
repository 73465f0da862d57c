// Measures that every task takes of a group, beside those of its own judges. To add one: outside of this folder the line
//   const bool added = theta::add_metric([](const EvalWork &, const NetworkSet &group, GroupReport &report) { ... });
// which fills values (a number for each network), figures or series of the report; files, tables and pages follow.
#pragma once
#include "engine/analysis/baselines.h"
#include "task.h"

namespace theta {

// Of a group's networks, one at least; of images without those that are broken.
using Metric = std::function<void(const EvalWork &, const NetworkSet &group, GroupReport &)>;
bool add_metric(Metric); // true
void measure(const EvalWork &, const NetworkSet &group, GroupReport &);

} // namespace theta
