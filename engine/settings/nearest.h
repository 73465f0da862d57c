// The name that was probably meant.
#pragma once
#include <string>
#include <vector>

namespace theta {

// `names` with the nearest to `wanted` first (Levenshtein's distance).
std::vector<std::string> nearest_first(std::vector<std::string> names, const std::string &wanted);

} // namespace theta
