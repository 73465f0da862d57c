#include "marching_cubes.h"
#include <algorithm>
#include <array>
#include <utility>

namespace theta {

namespace {

// Corner c of a cube lies at (c & 1, c >> 1 & 1, c >> 2). Edge e of 0..11 goes along axis e / 4 from corner
// edge_from(e).
int edge_from(int e) {
  const int axis = e / 4, k = e % 4;
  return axis == 0 ? (k & 1) << 1 | (k >> 1) << 2 : axis == 1 ? (k & 1) | (k >> 1) << 2 : k;
}
int edge_between(int a, int b) {
  for (int e = 0; e < 12; ++e)
    if (edge_from(e) == std::min(a, b) && (edge_from(e) | 1 << (e / 4)) == std::max(a, b))
      return e;
  return -1;
}

// The corners of the six faces, counter-clockwise seen from outside.
constexpr int faces[6][4] = {{0, 4, 6, 2}, {1, 3, 7, 5}, {0, 1, 5, 4}, {2, 6, 7, 3}, {0, 2, 3, 1}, {4, 5, 7, 6}};

bool share_a_face(int e, int f) {
  for (const auto &face : faces) {
    int on = 0;
    for (const int edge : {e, f})
      for (int k = 0; k < 4; ++k)
        on += edge_between(face[k], face[(k + 1) % 4]) == edge;
    if (on == 2)
      return true;
  }
  return false;
}

// A polygon of the surface within a cube, its corners on edges. No diagonal of its fan lies in a face, where the
// neighbour might draw the same one; where that cannot be, the fan goes round a point in the middle.
struct Polygon {
  std::vector<int> edges;
  bool has_middle = false;
};

using Case = std::vector<Polygon>;

// Case `inside`: bit c is set where corner c is inside. Every face has a segment for each run of corners inside, from
// the edge where it is entered to the edge where it is left; at an edge one segment ends and one begins.
Case make_case(int inside) {
  const auto is_inside = [&](int corner) { return (inside >> corner & 1) != 0; };
  std::array<int, 12> next;
  next.fill(-1);
  for (const auto &face : faces)
    for (int k = 0; k < 4; ++k) {
      if (!is_inside(face[k]) || is_inside(face[(k + 1) % 4]))
        continue;
      int first = k; // of the run that ends at corner k
      while (is_inside(face[(first + 3) % 4]))
        first = (first + 3) % 4;
      next[std::size_t(edge_between(face[(first + 3) % 4], face[first]))] = edge_between(face[k], face[(k + 1) % 4]);
    }
  Case polygons;
  for (int start = 0; start < 12; ++start) {
    Polygon polygon;
    for (int e = start; next[std::size_t(e)] >= 0;) {
      polygon.edges.push_back(e);
      e = std::exchange(next[std::size_t(e)], -1);
    }
    const int n = int(polygon.edges.size());
    if (n == 0)
      continue;
    int turn = 0;
    const auto is_clear = [&] {
      for (int k = 2; k + 1 < n; ++k)
        if (share_a_face(polygon.edges[std::size_t(turn)], polygon.edges[std::size_t((turn + k) % n)]))
          return false;
      return true;
    };
    while (turn < n && !is_clear())
      ++turn;
    polygon.has_middle = turn == n;
    std::rotate(polygon.edges.begin(), polygon.edges.begin() + turn % n, polygon.edges.end());
    polygons.push_back(std::move(polygon));
  }
  return polygons;
}

const std::array<Case, 256> &cases() {
  static const auto all = [] {
    std::array<Case, 256> made;
    for (int inside = 0; inside < 256; ++inside)
      made[std::size_t(inside)] = make_case(inside);
    return made;
  }();
  return all;
}

// The grid with a layer outside around it.
class Grid {
public:
  Grid(const std::vector<float> &value, int side, float level) : value_(value), side_(side), level_(level) {}
  int cubes() const { return side_ + 1; }

  bool is_inside(int x, int y, int z) const { return at(x, y, z) > level_; }
  // Of the edge from there along an axis.
  std::array<float, 3> crossing(int x, int y, int z, int axis) const {
    const float from = at(x, y, z), to = at(x + (axis == 0), y + (axis == 1), z + (axis == 2));
    std::array<float, 3> place{float(x), float(y), float(z)};
    place[std::size_t(axis)] += std::clamp((level_ - from) / (to - from), 0.001f, 0.999f);
    for (float &p : place)
      p = std::clamp(2 * (p - 1) / float(side_ - 1) - 1, -1.0f - 1 / float(side_), 1.0f + 1 / float(side_));
    return place;
  }

private:
  float at(int x, int y, int z) const {
    if (x < 1 || y < 1 || z < 1 || x > side_ || y > side_ || z > side_)
      return level_ - 1;
    const auto n = std::size_t(side_);
    return value_[(std::size_t(z - 1) * n + std::size_t(y - 1)) * n + std::size_t(x - 1)];
  }
  const std::vector<float> &value_;
  int side_;
  float level_;
};

} // namespace

std::vector<float> cube_grid(int side) {
  std::vector<float> points;
  const auto place = [&](int i) { return side > 1 ? 2 * float(i) / float(side - 1) - 1 : 0.0f; };
  for (int z = 0; z < side; ++z)
    for (int y = 0; y < side; ++y)
      for (int x = 0; x < side; ++x)
        points.insert(points.end(), {place(x), place(y), place(z)});
  return points;
}

Mesh marching_cubes(const std::vector<float> &value, int side, float level) {
  const Grid grid(value, side, level);
  const int n = grid.cubes();
  const auto width = std::size_t(n + 1);
  std::vector<std::uint32_t> vertex(3 * width * width * width, ~0u); // of the edge from a grid point along an axis
  Mesh mesh;
  std::vector<std::uint32_t> corners;
  for (int z = 0; z < n; ++z)
    for (int y = 0; y < n; ++y)
      for (int x = 0; x < n; ++x) {
        int inside = 0;
        for (int c = 0; c < 8; ++c)
          inside |= int(grid.is_inside(x + (c & 1), y + (c >> 1 & 1), z + (c >> 2))) << c;
        for (const Polygon &polygon : cases()[std::size_t(inside)]) {
          corners.clear();
          for (const int e : polygon.edges) {
            const int from = edge_from(e), ex = x + (from & 1), ey = y + (from >> 1 & 1), ez = z + (from >> 2);
            std::uint32_t &known = vertex[3 * ((std::size_t(ez) * width + std::size_t(ey)) * width + std::size_t(ex)) +
                                          std::size_t(e / 4)];
            if (known == ~0u) {
              known = std::uint32_t(mesh.vertex_count());
              const auto place = grid.crossing(ex, ey, ez, e / 4);
              mesh.vertices.insert(mesh.vertices.end(), place.begin(), place.end());
            }
            corners.push_back(known);
          }
          if (polygon.has_middle) {
            std::array<float, 3> middle{};
            for (const std::uint32_t corner : corners)
              for (std::size_t a = 0; a < 3; ++a)
                middle[a] += mesh.vertices[3 * corner + a] / float(corners.size());
            const auto centre = std::uint32_t(mesh.vertex_count());
            mesh.vertices.insert(mesh.vertices.end(), middle.begin(), middle.end());
            for (std::size_t k = 0; k < corners.size(); ++k)
              mesh.triangles.insert(mesh.triangles.end(), {centre, corners[k], corners[(k + 1) % corners.size()]});
          } else {
            for (std::size_t k = 2; k < corners.size(); ++k)
              mesh.triangles.insert(mesh.triangles.end(), {corners[0], corners[k - 1], corners[k]});
          }
        }
      }
  return mesh;
}

} // namespace theta
