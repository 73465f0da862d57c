#include "nearest.h"
#include <algorithm>

namespace theta {

namespace {

std::size_t edits(const std::string &a, const std::string &b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j)
    row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t above = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1])});
      diagonal = above;
    }
  }
  return row[b.size()];
}

} // namespace

std::vector<std::string> nearest_first(std::vector<std::string> names, const std::string &wanted) {
  std::stable_sort(names.begin(), names.end(),
                   [&](const auto &a, const auto &b) { return edits(a, wanted) < edits(b, wanted); });
  return names;
}

} // namespace theta
