// Polygons of meshes as triangles.
#include "mesh_formats.h"
#include <algorithm>
#include <array>
#include <cmath>

namespace theta {

namespace {

struct Place {
  double x, y;
};
double turn(const Place &a, const Place &b, const Place &c) {
  return (b.x - a.x) * (c.y - a.y) - (b.y - a.y) * (c.x - a.x);
}
bool within(const Place &p, const Place &a, const Place &b, const Place &c) {
  return turn(a, b, p) >= 0 && turn(b, c, p) >= 0 && turn(c, a, p) >= 0;
}

// Seen from outside along the axis in which the polygon's normal (Newell's) is longest.
std::vector<Place> flattened(const std::vector<double> &vertices, const std::uint32_t *corners, std::size_t n) {
  const auto at = [&](std::size_t k, std::size_t a) { return vertices[3 * std::size_t(corners[k % n]) + a]; };
  std::array<double, 3> normal{};
  for (std::size_t k = 0; k < n; ++k)
    for (std::size_t a = 0; a < 3; ++a) {
      const std::size_t b = (a + 1) % 3, c = (a + 2) % 3;
      normal[a] +=
          (at(k, b) - at(0, b)) * (at(k + 1, c) - at(0, c)) - (at(k, c) - at(0, c)) * (at(k + 1, b) - at(0, b));
    }
  std::size_t axis = 0;
  for (std::size_t a = 1; a < 3; ++a)
    if (std::abs(normal[a]) > std::abs(normal[axis]))
      axis = a;
  const std::size_t b = (axis + 1) % 3, c = (axis + 2) % 3;
  const double sign = normal[axis] < 0 ? -1 : 1;
  std::vector<Place> places;
  for (std::size_t k = 0; k < n; ++k)
    places.push_back({at(k, b) - at(0, b), sign * (at(k, c) - at(0, c))});
  return places;
}

} // namespace

void triangulate(std::vector<std::uint32_t> &triangles, const std::vector<double> &vertices,
                 const std::uint32_t *corners, std::size_t n) {
  const auto add = [&](std::size_t a, std::size_t b, std::size_t c) {
    triangles.insert(triangles.end(), {corners[a], corners[b], corners[c]});
  };
  std::vector<std::size_t> left(n); // corners that no ear has taken
  for (std::size_t k = 0; k < n; ++k)
    left[k] = k;
  const auto places = n > 3 ? flattened(vertices, corners, n) : std::vector<Place>{};
  const bool convex = n <= 3 || std::all_of(left.begin(), left.end(), [&](std::size_t k) {
                        return turn(places[(k + n - 1) % n], places[k], places[(k + 1) % n]) >= 0;
                      });
  while (!convex && left.size() > 3) {
    const std::size_t m = left.size();
    std::size_t ear = m;
    for (std::size_t k = 0; k < m && ear == m; ++k) {
      const std::size_t a = left[(k + m - 1) % m], b = left[k], c = left[(k + 1) % m];
      if (turn(places[a], places[b], places[c]) > 0 && std::none_of(left.begin(), left.end(), [&](std::size_t p) {
            return corners[p] != corners[a] && corners[p] != corners[b] && corners[p] != corners[c] &&
                   within(places[p], places[a], places[b], places[c]);
          }))
        ear = k;
    }
    if (ear == m) // it meets itself, or is flat: corners in a line go first, then any
      for (ear = 0; ear + 1 < m; ++ear)
        if (turn(places[left[(ear + m - 1) % m]], places[left[ear]], places[left[(ear + 1) % m]]) >= 0)
          break;
    add(left[(ear + m - 1) % m], left[ear], left[(ear + 1) % m]);
    left.erase(left.begin() + std::ptrdiff_t(ear));
  }
  for (std::size_t k = 2; k < left.size(); ++k)
    add(left[0], left[k - 1], left[k]);
}

} // namespace theta
