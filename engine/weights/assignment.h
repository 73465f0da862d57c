// The exact linear assignment problem, by shortest augmenting paths (Jonker & Volgenant, 1987; Crouse, 2016).
#pragma once
#include <vector>

namespace theta {

// column[i] of row i, all different, so that Σ cost[i, column[i]] is least.   cost [n, n], finite. O(n³).
std::vector<int> assign(const std::vector<double> &cost, int n);

} // namespace theta
