#include "surface.h"
#include "kernels/device/error.h"
#include "kernels/device/philox.h"
#include "kernels/parts/triangle.h"
#include <algorithm>
#include <cmath>

namespace theta {

namespace {

Vec3<double> corner(const Mesh &mesh, std::size_t at) {
  const float *v = mesh.vertices.data() + 3 * std::size_t(mesh.triangles[at]);
  return {v[0], v[1], v[2]};
}

} // namespace

std::vector<float> surface_points(const Mesh &mesh, int points, std::uint64_t seed, std::uint32_t stream) {
  std::vector<double> area; // up to and with a triangle
  double sum = 0;
  for (std::size_t t = 0; t < mesh.triangles.size(); t += 3) {
    const auto a = corner(mesh, t), n = cross(corner(mesh, t + 1) - a, corner(mesh, t + 2) - a);
    area.push_back(sum += std::sqrt(dot(n, n)) / 2);
  }
  if (!(sum > 0))
    throw Error("surface: found a mesh without area");
  std::vector<float> planes(3 * std::size_t(points));
  for (int p = 0; p < points; ++p) {
    const auto draws = philox(seed, Purpose::surface_points, stream, std::uint64_t(p));
    // One point in every part of equal area.
    const double wanted = (p + double(uniform01(draws.word[0]))) / points * sum;
    const auto t =
        3 * std::min(std::size_t(std::upper_bound(area.begin(), area.end(), wanted) - area.begin()), area.size() - 1);
    double u = uniform01(draws.word[1]), v = uniform01(draws.word[2]);
    if (u + v > 1)
      u = 1 - u, v = 1 - v;
    const auto a = corner(mesh, t);
    const auto at = along(along(a, corner(mesh, t + 1) - a, u), corner(mesh, t + 2) - a, v);
    planes[std::size_t(p)] = float(at.x), planes[std::size_t(points + p)] = float(at.y),
    planes[std::size_t(2 * points + p)] = float(at.z);
  }
  return planes;
}

double volume_of(const Mesh &mesh) {
  double six = 0;
  for (std::size_t t = 0; t < mesh.triangles.size(); t += 3)
    six += dot(corner(mesh, t), cross(corner(mesh, t + 1), corner(mesh, t + 2)));
  return six / 6;
}

} // namespace theta
