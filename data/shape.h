// The sizes of a tensor, outermost first: in files and in memory plans.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace theta {

using Shape = std::vector<std::int64_t>;
std::string text_of(const Shape &); // "[3, 5]"

} // namespace theta
