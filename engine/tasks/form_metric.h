// Of networks with a form (engine/networks/form.h), what they store: figures of every group,
//   bytes    of a network
//   zeros    share of the matrices' weights
//   codes    how far codes are from those of held-out networks: half the sum of what their shares differ by (total
//            variation), 0 to 1
//   scales   the same of scales: the most that shares below any scale differ by (Kolmogorov and Smirnov)
#pragma once
#include "engine/analysis/group_report.h"
#include <string>
#include <vector>

namespace theta {

// A table of them, where there are any; else nothing.
std::string form_table(const std::vector<GroupReport> &);

} // namespace theta
