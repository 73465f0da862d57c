// OBJ, OFF and STL.
#include "kernels/device/error.h"
#include "mesh_formats.h"
#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <map>

namespace theta {

namespace {
constexpr std::string_view spaces = " \t\r\v\f";
constexpr long most = std::int64_t(1) << 31; // vertices, or corners of a polygon
constexpr std::size_t shown = 32;            // bytes of a word in an error
} // namespace

bool MeshLines::next() {
  while (at_ < text_.content.size()) {
    const std::size_t end = std::min(text_.content.find('\n', at_), text_.content.size());
    line_ = text_.content.substr(at_, end - at_);
    at_ = std::min(end + 1, text_.content.size()), ++line_number_;
    line_ = line_.substr(0, line_.find('#'));
    const std::size_t first = line_.find_first_not_of(spaces);
    if (first == std::string_view::npos)
      continue;
    line_.remove_prefix(first);
    return true;
  }
  line_ = {};
  return false;
}

std::string_view MeshLines::word() {
  const std::size_t first = std::min(line_.find_first_not_of(spaces), line_.size());
  const std::size_t last = std::min(line_.find_first_of(spaces, first), line_.size());
  const auto found = line_.substr(first, last - first);
  line_.remove_prefix(last);
  return found;
}

void MeshLines::refuse(const std::string &found, const std::string &expected) const {
  throw InputError(text_.where, ": line ", line_number_, ": found ", found, ", expected ", expected);
}

double MeshLines::number() {
  std::string_view all = word(), digits = all;
  if (digits.starts_with('+'))
    digits.remove_prefix(1);
  double value = 0;
  const auto [end, failed] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (failed != std::errc() || end != digits.data() + digits.size())
    refuse("'" + std::string(all.substr(0, shown)) + "'", "a number");
  return value;
}

long MeshLines::whole(long from, long to) {
  const std::string_view all = word();
  long value = 0;
  const auto [end, failed] = std::from_chars(all.data(), all.data() + all.size(), value);
  if (failed != std::errc() || end != all.data() + all.size() || value < from || value > to)
    refuse("'" + std::string(all.substr(0, shown)) + "'", text("a number from ", from, " to ", to));
  return value;
}

// v x y z, and f with corners v, v/t, v//n or v/t/n: from 1 on, or from the end where negative. Everything else is left
// out.
Mesh read_obj(const MeshText &text) {
  MeshLines lines(text);
  Mesh mesh;
  std::vector<std::uint32_t> corners;
  while (lines.next()) {
    const auto kind = lines.word();
    if (kind == "v") {
      for (int k = 0; k < 3; ++k)
        mesh.vertices.push_back(float(lines.number()));
    } else if (kind == "f") {
      corners.clear();
      for (auto corner = lines.word(); !corner.empty(); corner = lines.word()) {
        const auto digits = corner.substr(0, corner.find('/'));
        long vertex = 0;
        const auto [end, failed] = std::from_chars(digits.data(), digits.data() + digits.size(), vertex);
        const long there = long(mesh.vertex_count());
        if (failed != std::errc() || end != digits.data() + digits.size() || vertex == 0 || vertex > there ||
            vertex < -there)
          lines.refuse("'" + std::string(corner.substr(0, shown)) + "'",
                       theta::text("one of the ", there, " vertices before it"));
        corners.push_back(std::uint32_t(vertex > 0 ? vertex - 1 : there + vertex));
      }
      if (corners.size() < 3)
        lines.refuse(theta::text("a face of ", corners.size(), " corners"), "3 or more");
      add_polygon(mesh, corners);
    }
  }
  return mesh;
}

// OFF (or COFF, NOFF: with colours, or normals, after the coordinates), numbers of vertices, faces and edges, perhaps
// in the same line or, as in ModelNet, the same word; then a line each.
Mesh read_off(const MeshText &text) {
  MeshLines lines(text);
  const auto cut = [&] {
    if (!lines.next())
      throw InputError(text.where, ": found its end, expected more lines: it has been cut");
  };
  cut();
  std::string_view kind = lines.word();
  const std::size_t name = kind.find("OFF");
  if (name == std::string_view::npos || name > 2)
    lines.refuse("'" + std::string(kind.substr(0, shown)) + "'", "OFF");
  kind.remove_prefix(name + 3);
  long vertices = 0;
  if (kind.empty()) {
    std::string_view rest = lines.word();
    if (rest.empty()) {
      cut();
      vertices = lines.whole(0, most);
    } else {
      kind = rest;
    }
  }
  if (!kind.empty()) {
    const auto [end, failed] = std::from_chars(kind.data(), kind.data() + kind.size(), vertices);
    if (failed != std::errc() || end != kind.data() + kind.size() || vertices < 0 || vertices > most)
      lines.refuse("'" + std::string(kind.substr(0, shown)) + "'", "a number of vertices");
  }
  const long faces = lines.whole(0, most);
  Mesh mesh;
  for (long v = 0; v < vertices; ++v) {
    cut();
    for (int k = 0; k < 3; ++k)
      mesh.vertices.push_back(float(lines.number()));
  }
  std::vector<std::uint32_t> corners;
  for (long f = 0; f < faces; ++f) {
    cut();
    const long count = lines.whole(3, most);
    corners.clear();
    for (long k = 0; k < count; ++k)
      corners.push_back(std::uint32_t(lines.whole(0, vertices - 1)));
    add_polygon(mesh, corners);
  }
  return mesh;
}

namespace {

// Corners that are the same become one vertex.
class Welding {
public:
  explicit Welding(Mesh &mesh) : mesh_(mesh) {}
  std::uint32_t vertex(std::array<float, 3> at) {
    for (float &x : at)
      x += 0.0f; // one zero
    const auto [entry, is_new] = known_.try_emplace(at, std::uint32_t(mesh_.vertex_count()));
    if (is_new)
      mesh_.vertices.insert(mesh_.vertices.end(), at.begin(), at.end());
    return entry->second;
  }

private:
  Mesh &mesh_;
  std::map<std::array<float, 3>, std::uint32_t> known_;
};

Mesh read_binary_stl(const MeshText &text, std::size_t triangles) {
  constexpr std::size_t header = 84, record = 50, normal = 12;
  Mesh mesh;
  Welding weld(mesh);
  for (std::size_t t = 0; t < triangles; ++t)
    for (std::size_t k = 0; k < 3; ++k) {
      std::array<float, 3> at;
      std::memcpy(at.data(), text.content.data() + header + t * record + normal + k * sizeof at, sizeof at);
      for (const float x : at)
        if (!(x - x == 0)) // a NaN has no place in an order
          throw InputError(text.where, ": triangle ", t, ": found ", x, ", expected finite numbers");
      mesh.triangles.push_back(weld.vertex(at));
    }
  return mesh;
}

} // namespace

// In bytes where the length says so (80 of header, their number, 50 a triangle), whatever the header begins with; else
// text.
Mesh read_stl(const MeshText &text) {
  if (text.content.size() >= 84) {
    std::uint32_t triangles = 0;
    std::memcpy(&triangles, text.content.data() + 80, sizeof triangles);
    if (text.content.size() == 84 + std::size_t(triangles) * 50)
      return read_binary_stl(text, triangles);
    if (!text.content.starts_with("solid"))
      throw InputError(text.where, ": found ", text.content.size(), " bytes, expected ",
                       84 + std::size_t(triangles) * 50, " for ", triangles, " triangles: it has been cut");
  }
  MeshLines lines(text);
  if (!lines.next() || lines.word() != "solid")
    throw InputError(text.where, ": found neither STL's text, which begins with 'solid', nor its bytes");
  Mesh mesh;
  Welding weld(mesh);
  std::vector<std::uint32_t> corners;
  bool open = false;
  while (lines.next()) {
    const auto word = lines.word();
    if (word == "facet") {
      if (open)
        lines.refuse("facet", "endfacet");
      open = true, corners.clear();
    } else if (word == "vertex") {
      std::array<float, 3> at;
      for (float &x : at) {
        x = float(lines.number());
        if (!(x - x == 0))
          lines.refuse("a coordinate that is not finite", "finite numbers");
      }
      corners.push_back(weld.vertex(at));
    } else if (word == "endfacet") {
      if (!open || corners.size() != 3)
        lines.refuse(theta::text("a facet of ", open ? corners.size() : 0, " vertices"), "3");
      open = false;
      add_polygon(mesh, corners);
    }
  }
  if (open)
    throw InputError(text.where, ": found its end, expected endfacet: it has been cut");
  return mesh;
}

} // namespace theta
