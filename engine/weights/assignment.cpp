#include "assignment.h"
#include <algorithm>
#include <limits>

namespace theta {

// Rows are assigned one after another. Each starts a search for the shortest path, in reduced costs (cost − row_price −
// column_price, never negative), to a column that is still free; the columns along the path change hands.
std::vector<int> assign(const std::vector<double> &cost, int n) {
  constexpr double far = std::numeric_limits<double>::infinity();
  std::vector<double> row_price(std::size_t(n), 0), column_price(std::size_t(n), 0),
      distance(static_cast<std::size_t>(n));
  std::vector<int> row_of(std::size_t(n), -1), column_of(std::size_t(n), -1), from(static_cast<std::size_t>(n));
  std::vector<char> reached(static_cast<std::size_t>(n));
  for (int start = 0; start < n; ++start) {
    std::fill(distance.begin(), distance.end(), far);
    std::fill(reached.begin(), reached.end(), 0);
    int row = start, sink = -1;
    double length = 0; // of the path so far
    std::vector<int> scanned{start};
    while (sink < 0) {
      int nearest = -1;
      for (int c = 0; c < n; ++c) {
        if (reached[std::size_t(c)])
          continue;
        const double through = length + cost[std::size_t(row) * std::size_t(n) + std::size_t(c)] -
                               row_price[std::size_t(row)] - column_price[std::size_t(c)];
        if (through < distance[std::size_t(c)])
          distance[std::size_t(c)] = through, from[std::size_t(c)] = row;
        if (nearest < 0 || distance[std::size_t(c)] < distance[std::size_t(nearest)])
          nearest = c;
      }
      length = distance[std::size_t(nearest)];
      reached[std::size_t(nearest)] = 1;
      if (row_of[std::size_t(nearest)] < 0)
        sink = nearest;
      else
        scanned.push_back(row = row_of[std::size_t(nearest)]);
    }
    for (const int r : scanned)
      row_price[std::size_t(r)] += r == start ? length : length - distance[std::size_t(column_of[std::size_t(r)])];
    for (int c = 0; c < n; ++c)
      if (reached[std::size_t(c)])
        column_price[std::size_t(c)] -= length - distance[std::size_t(c)];
    for (int c = sink;;) {
      const int r = from[std::size_t(c)];
      row_of[std::size_t(c)] = r;
      std::swap(c, column_of[std::size_t(r)]);
      if (r == start)
        break;
    }
  }
  return column_of;
}

} // namespace theta
