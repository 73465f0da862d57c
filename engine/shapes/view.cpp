#include "view.h"
#include "kernels/parts/triangle.h"
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

namespace theta {

namespace {

using Vec = Vec3<double>;

Vec unit(Vec v) {
  const double length = std::sqrt(dot(v, v));
  return length > 0 ? Vec{v.x / length, v.y / length, v.z / length} : v;
}

struct Camera {
  Vec towards = unit({0.55, 0.5, 1}); // the eye
  Vec right = unit(cross(Vec{0, 1, 0}, towards));
  Vec up = cross(towards, right);
  double reach = 1.4; // the cube's half diagonal, less its corners

  // Right, up and near, in the picture's −1..1.
  Vec seen(Vec p) const { return {dot(p, right) / reach, dot(p, up) / reach, dot(p, towards)}; }
};

// Of every vertex: the mean of its triangles' normals, weighed by area.
std::vector<Vec> normals_of(const Mesh &mesh, const std::vector<Vec> &vertex) {
  std::vector<Vec> normal(vertex.size(), {0, 0, 0});
  for (std::size_t t = 0; t < mesh.triangles.size(); t += 3) {
    const Vec a = vertex[mesh.triangles[t]];
    const Vec n = cross(vertex[mesh.triangles[t + 1]] - a, vertex[mesh.triangles[t + 2]] - a);
    for (std::size_t k = 0; k < 3; ++k)
      normal[mesh.triangles[t + k]] = along(normal[mesh.triangles[t + k]], n, 1.0);
  }
  for (Vec &n : normal)
    n = unit(n);
  return normal;
}

} // namespace

std::vector<float> shaded_view(const Mesh &mesh, int side) {
  constexpr int samples = 2; // across and down a pixel
  const int fine = side * samples;
  const Camera camera;
  const Vec light = unit({0.2, 0.9, 0.75});
  std::vector<Vec> vertex, seen;
  for (std::size_t v = 0; v < mesh.vertices.size(); v += 3) {
    vertex.push_back({mesh.vertices[v], mesh.vertices[v + 1], mesh.vertices[v + 2]});
    const Vec at = camera.seen(vertex.back());
    seen.push_back({(at.x + 1) / 2 * fine, (1 - at.y) / 2 * fine, at.z});
  }
  const auto normal = normals_of(mesh, vertex);
  std::vector<double> depth(std::size_t(fine) * std::size_t(fine), -std::numeric_limits<double>::infinity());
  std::vector<float> shade(depth.size(), 0);
  for (std::size_t t = 0; t < mesh.triangles.size(); t += 3) {
    const std::array<std::uint32_t, 3> index{mesh.triangles[t], mesh.triangles[t + 1], mesh.triangles[t + 2]};
    const Vec a = seen[index[0]], b = seen[index[1]], c = seen[index[2]];
    const double area = (b.x - a.x) * (c.y - a.y) - (b.y - a.y) * (c.x - a.x);
    if (area == 0)
      continue;
    const auto low = [&](double p, double q, double r) { return std::max(0, int(std::floor(std::min({p, q, r})))); };
    const auto high = [&](double p, double q, double r) {
      return std::min(fine - 1, int(std::ceil(std::max({p, q, r}))));
    };
    for (int y = low(a.y, b.y, c.y); y <= high(a.y, b.y, c.y); ++y)
      for (int x = low(a.x, b.x, c.x); x <= high(a.x, b.x, c.x); ++x) {
        const double px = x + 0.5, py = y + 0.5;
        const double wb = ((px - a.x) * (c.y - a.y) - (py - a.y) * (c.x - a.x)) / area,
                     wc = ((b.x - a.x) * (py - a.y) - (b.y - a.y) * (px - a.x)) / area, wa = 1 - wb - wc;
        const std::size_t at = std::size_t(y) * std::size_t(fine) + std::size_t(x);
        const double near = wa * a.z + wb * b.z + wc * c.z;
        if (wa < 0 || wb < 0 || wc < 0 || near <= depth[at])
          continue;
        depth[at] = near;
        const Vec n =
            unit(along(along(along(Vec{0, 0, 0}, normal[index[0]], wa), normal[index[1]], wb), normal[index[2]], wc));
        shade[at] = float(0.22 + 0.68 * std::max(0.0, dot(n, light)) + 0.1 * std::max(0.0, dot(n, camera.right)));
      }
  }
  constexpr std::array<float, 3> clay{0.95f, 0.82f, 0.68f}, background{0.11f, 0.12f, 0.15f};
  std::vector<float> picture(3 * std::size_t(side) * std::size_t(side), 0);
  for (std::size_t y = 0; y < std::size_t(fine); ++y)
    for (std::size_t x = 0; x < std::size_t(fine); ++x) {
      const std::size_t at = y * std::size_t(fine) + x;
      for (std::size_t k = 0; k < 3; ++k)
        picture[3 * (y / samples * std::size_t(side) + x / samples) + k] +=
            (std::isinf(depth[at]) ? background[k] : shade[at] * clay[k]) / (samples * samples);
    }
  return picture;
}

} // namespace theta
