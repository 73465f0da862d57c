#include "mesh_file.h"
#include "atomic_file.h"
#include "kernels/device/error.h"
#include "mapped_file.h"
#include "mesh_formats.h"
#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <functional>
#include <map>
#include <tuple>

namespace theta {

static_assert(std::endian::native == std::endian::little);

namespace {

constexpr std::array<std::pair<const char *, StoredMesh (*)(const MeshText &)>, 4> formats{
    {{".obj", read_obj}, {".off", read_off}, {".ply", read_ply}, {".stl", read_stl}}};

std::string ending_of(const std::filesystem::path &path) {
  std::string ending = path.extension().string();
  std::transform(ending.begin(), ending.end(), ending.begin(), [](unsigned char c) { return std::tolower(c); });
  return ending;
}

void check(const StoredMesh &mesh, const std::string &where) {
  if (mesh.sizes.empty())
    throw InputError(where, ": found no triangle");
  for (std::size_t i = 0; i < mesh.vertices.size(); ++i)
    if (!std::isfinite(mesh.vertices[i]))
      throw InputError(where, ": vertex ", i / 3, ": found ", mesh.vertices[i], ", expected finite numbers");
  for (const std::uint32_t vertex : mesh.corners)
    if (vertex >= mesh.vertex_count())
      throw InputError(where, ": found a triangle of vertex ", vertex, ", expected numbers below ",
                       mesh.vertex_count());
}

StoredMesh read_stored_mesh(const std::filesystem::path &path) {
  const std::string where = path.string();
  for (const auto &[ending, read] : formats)
    if (ending_of(path) == ending) {
      const MappedFile file(path);
      const auto bytes = file.bytes();
      StoredMesh mesh = read({{reinterpret_cast<const char *>(bytes.data()), bytes.size()}, where});
      check(mesh, where);
      return mesh;
    }
  throw InputError(where, ": found the ending '", path.extension().string(), "', expected .obj, .off, .ply or .stl");
}

// Vertices in use, those that are the same as one, and polygons as triangles.
ExactMesh used(const StoredMesh &stored) {
  ExactMesh mesh;
  std::vector<std::uint32_t> triangles;
  const std::uint32_t *corners = stored.corners.data();
  for (const std::size_t n : stored.sizes) {
    triangulate(triangles, stored.vertices, corners, n);
    corners += n;
  }
  std::map<std::array<double, 3>, std::uint32_t> known;
  for (const std::uint32_t vertex : triangles) {
    std::array<double, 3> at;
    for (std::size_t a = 0; a < 3; ++a)
      at[a] = stored.vertices[3 * std::size_t(vertex) + a] + 0.0; // one zero
    const auto [entry, is_new] = known.try_emplace(at, std::uint32_t(mesh.vertices.size() / 3));
    if (is_new)
      mesh.vertices.insert(mesh.vertices.end(), at.begin(), at.end());
    mesh.triangles.push_back(entry->second);
  }
  return mesh;
}

template <class T> void append(std::string &to, const T &value) {
  to.append(reinterpret_cast<const char *>(&value), sizeof value);
}

std::string ply_of(const Mesh &mesh) {
  std::string out = text("ply\nformat binary_little_endian 1.0\ncomment theta\nelement vertex ", mesh.vertex_count(),
                         "\nproperty float x\nproperty float y\nproperty float z\nelement face ", mesh.triangle_count(),
                         "\nproperty list uchar int vertex_indices\nend_header\n");
  out.append(reinterpret_cast<const char *>(mesh.vertices.data()), mesh.vertices.size() * sizeof(float));
  for (std::size_t t = 0; t < mesh.triangles.size(); t += 3) {
    append(out, std::uint8_t(3));
    for (std::size_t k = 0; k < 3; ++k)
      append(out, std::int32_t(mesh.triangles[t + k]));
  }
  return out;
}

std::string stl_of(const Mesh &mesh) {
  std::string out(80, ' ');
  append(out, std::uint32_t(mesh.triangle_count()));
  for (std::size_t t = 0; t < mesh.triangles.size(); t += 3) {
    const auto corner = [&](std::size_t k) { return mesh.vertices.data() + 3 * std::size_t(mesh.triangles[t + k]); };
    std::array<float, 3> a, b, n;
    for (std::size_t i = 0; i < 3; ++i)
      a[i] = corner(1)[i] - corner(0)[i], b[i] = corner(2)[i] - corner(0)[i];
    n = {a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]};
    const float length = std::sqrt(n[0] * n[0] + n[1] * n[1] + n[2] * n[2]);
    for (const float x : n)
      append(out, length > 0 ? x / length : 0.0f);
    for (std::size_t k = 0; k < 3; ++k)
      out.append(reinterpret_cast<const char *>(corner(k)), 3 * sizeof(float));
    append(out, std::uint16_t(0));
  }
  return out;
}

std::string obj_of(const Mesh &mesh) {
  std::string out = "# theta\n";
  for (std::size_t i = 0; i < mesh.vertices.size(); i += 3)
    out += text("v ", mesh.vertices[i], ' ', mesh.vertices[i + 1], ' ', mesh.vertices[i + 2], '\n');
  for (std::size_t i = 0; i < mesh.triangles.size(); i += 3)
    out += text("f ", mesh.triangles[i] + 1, ' ', mesh.triangles[i + 1] + 1, ' ', mesh.triangles[i + 2] + 1, '\n');
  return out;
}

// Of every triangle's side: its vertices, the smaller first, and whether it is passed from there.
struct Side {
  std::uint32_t low, high;
  bool upwards;
  bool operator<(const Side &o) const { return std::tie(low, high, upwards) < std::tie(o.low, o.high, o.upwards); }
};

std::vector<Side> sides_of(const Mesh &mesh) {
  std::vector<Side> sides;
  for (std::size_t t = 0; t < mesh.triangles.size(); t += 3)
    for (std::size_t k = 0; k < 3; ++k) {
      const std::uint32_t a = mesh.triangles[t + k], b = mesh.triangles[t + (k + 1) % 3];
      sides.push_back({std::min(a, b), std::max(a, b), a < b});
    }
  std::sort(sides.begin(), sides.end());
  return sides;
}

} // namespace

bool is_mesh_file(const std::filesystem::path &path) {
  return std::any_of(formats.begin(), formats.end(), [&](const auto &f) { return ending_of(path) == f.first; });
}

ExactMesh read_exact_mesh(const std::filesystem::path &path) { return used(read_stored_mesh(path)); }

Mesh read_mesh(const std::filesystem::path &path) { return rounded(read_exact_mesh(path)); }

Mesh rounded(const ExactMesh &exact) { return {{exact.vertices.begin(), exact.vertices.end()}, exact.triangles}; }

void write_mesh(const std::filesystem::path &path, const Mesh &mesh) {
  const std::string ending = ending_of(path);
  if (ending == ".ply")
    write_file(path, ply_of(mesh));
  else if (ending == ".stl")
    write_file(path, stl_of(mesh));
  else if (ending == ".obj")
    write_file(path, obj_of(mesh));
  else
    throw InputError(path.string(), ": found the ending '", path.extension().string(),
                     "', expected .ply, .stl or .obj");
}

bool is_watertight(const Mesh &mesh) {
  const auto sides = sides_of(mesh);
  for (std::size_t i = 0; i < sides.size(); i += 2)
    if (i + 1 == sides.size() || sides[i].low == sides[i].high || sides[i].low != sides[i + 1].low ||
        sides[i].high != sides[i + 1].high || sides[i].upwards == sides[i + 1].upwards ||
        (i + 2 < sides.size() && sides[i].low == sides[i + 2].low && sides[i].high == sides[i + 2].high))
      return false;
  return !sides.empty();
}

long euler_characteristic(const Mesh &mesh) {
  const auto sides = sides_of(mesh);
  long edges = 0;
  for (std::size_t i = 0; i < sides.size(); ++i)
    edges += i == 0 || sides[i].low != sides[i - 1].low || sides[i].high != sides[i - 1].high;
  std::vector<char> used(mesh.vertex_count(), 0);
  for (const std::uint32_t vertex : mesh.triangles)
    used[vertex] = 1;
  return std::count(used.begin(), used.end(), 1) - edges + long(mesh.triangle_count());
}

} // namespace theta
