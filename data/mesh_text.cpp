// OBJ, OFF and STL.
#include "kernels/device/error.h"
#include "mesh_formats.h"
#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <cstring>

namespace theta {

namespace {
constexpr std::string_view spaces = " \t\r\v\f";
constexpr long most = std::int64_t(1) << 31; // vertices, or corners of a polygon
constexpr std::size_t shown = 32;            // bytes of a word in an error
} // namespace

MeshLines::MeshLines(const MeshText &text, Have have) : text_(text), have_(have) {
  if (text.content.starts_with("\xff\xfe") || text.content.starts_with("\xfe\xff"))
    throw InputError(text.where, ": found text of 16 bits a character, expected UTF-8");
  if (text.content.starts_with("\xef\xbb\xbf")) // a byte-order mark
    at_ = 3;
}

bool MeshLines::next() {
  bool goes_on = false;
  joined_.clear();
  while (at_ < text_.content.size()) {
    const std::size_t end = std::min(text_.content.find('\n', at_), text_.content.size());
    line_ = text_.content.substr(at_, end - at_);
    at_ = std::min(end + 1, text_.content.size()), ++line_number_;
    for (std::size_t at = 0; have_.comments && (at = line_.find('#', at)) != std::string_view::npos; ++at)
      if (at == 0 || spaces.find(line_[at - 1]) != std::string_view::npos)
        line_ = line_.substr(0, at);
    const std::size_t last = line_.find_last_not_of(spaces);
    line_ = line_.substr(0, last == std::string_view::npos ? 0 : last + 1);
    const bool before = goes_on;
    goes_on = have_.continued && line_.ends_with('\\');
    if (goes_on)
      line_.remove_suffix(1);
    if (before || goes_on)
      joined_ += line_, joined_ += ' ', line_ = joined_;
    if (goes_on && at_ < text_.content.size())
      continue;
    const std::size_t first = line_.find_first_not_of(spaces);
    if (first == std::string_view::npos) {
      joined_.clear();
      continue;
    }
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
  if (failed == std::errc::result_out_of_range && end == digits.data() + digits.size())
    value = std::strtod(std::string(digits).c_str(), nullptr); // what is smaller than any number is 0
  else if (failed != std::errc() || end != digits.data() + digits.size())
    refuse("'" + std::string(all.substr(0, shown)) + "'", "a number");
  if (!std::isfinite(value))
    refuse("'" + std::string(all.substr(0, shown)) + "'", "finite numbers");
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
StoredMesh read_obj(const MeshText &text) {
  MeshLines lines(text, {.comments = true, .continued = true});
  StoredMesh mesh;
  std::vector<std::uint32_t> corners;
  while (lines.next()) {
    const auto kind = lines.word();
    if (kind == "v") {
      for (int k = 0; k < 3; ++k)
        mesh.vertices.push_back(lines.number());
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
      mesh.add_polygon(corners);
    }
  }
  return mesh;
}

// OFF (or COFF, NOFF: with colours, or normals, after the coordinates), numbers of vertices, faces and edges, perhaps
// in the same line or, as in ModelNet, the same word; then a line each.
StoredMesh read_off(const MeshText &text) {
  MeshLines lines(text, {.comments = true});
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
  StoredMesh mesh;
  for (long v = 0; v < vertices; ++v) {
    cut();
    for (int k = 0; k < 3; ++k)
      mesh.vertices.push_back(lines.number());
  }
  std::vector<std::uint32_t> corners;
  for (long f = 0; f < faces; ++f) {
    cut();
    const long count = lines.whole(3, most);
    corners.clear();
    for (long k = 0; k < count; ++k)
      corners.push_back(std::uint32_t(lines.whole(0, vertices - 1)));
    mesh.add_polygon(corners);
  }
  return mesh;
}

namespace {

constexpr std::size_t header = 84, record = 50, normal = 12; // bytes

StoredMesh read_binary_stl(const MeshText &text, std::size_t triangles) {
  StoredMesh mesh;
  for (std::size_t t = 0; t < triangles; ++t) {
    const auto first = std::uint32_t(mesh.vertex_count());
    for (std::size_t k = 0; k < 9; ++k) {
      float at = 0;
      std::memcpy(&at, text.content.data() + header + t * record + normal + k * sizeof at, sizeof at);
      if (!std::isfinite(at))
        throw InputError(text.where, ": triangle ", t, ": found ", at, ", expected finite numbers");
      mesh.vertices.push_back(at);
    }
    mesh.add_polygon({first, first + 1, first + 2});
  }
  return mesh;
}

// The words of a text STL are written small, large or as names are.
std::string small(std::string_view word) {
  std::string s(word);
  std::transform(s.begin(), s.end(), s.begin(), [](unsigned char c) { return std::tolower(c); });
  return s;
}

} // namespace

// In bytes where the length says so (80 of header, their number, 50 a triangle, perhaps more), whatever the header
// begins with; else text, if it begins with "solid" of any case. Text has no such length: its letters are numbers
// beyond any file.
StoredMesh read_stl(const MeshText &text) {
  const std::size_t size = text.content.size();
  MeshLines lines(text, {});
  const bool is_text = lines.next() && small(lines.word()) == "solid";
  std::uint32_t triangles = 0;
  if (size >= header) {
    std::memcpy(&triangles, text.content.data() + 80, sizeof triangles);
    const std::size_t there = (size - header) / record;
    if (triangles > 0 && triangles <= there)
      return read_binary_stl(text, triangles);
    if (triangles == 0 && there > 0 && size == header + there * record) // a writer that did not go back to count them
      return read_binary_stl(text, there);
  }
  if (!is_text && size >= header)
    throw InputError(text.where, ": found ", size, " bytes, expected ", header + std::size_t(triangles) * record,
                     " for ", triangles,
                     " triangles: ", triangles > 0 ? "it has been cut" : "their number is not that of its bytes");
  if (!is_text)
    throw InputError(text.where, ": found neither STL's text, which begins with 'solid', nor its bytes");
  StoredMesh mesh;
  bool open = false;
  while (lines.next()) {
    const std::string word = small(lines.word());
    const std::size_t vertices = mesh.vertex_count() - 3 * mesh.sizes.size(); // of this facet
    if (word == "facet") {
      if (open)
        lines.refuse("facet", "endfacet");
      open = true;
    } else if (word == "vertex") {
      if (!open || vertices == 3)
        lines.refuse(theta::text("a vertex ", open ? "more" : "without a facet"), "3 a facet");
      for (int k = 0; k < 3; ++k)
        mesh.vertices.push_back(lines.number());
    } else if (word == "endfacet") {
      if (!open || vertices != 3)
        lines.refuse(theta::text("a facet of ", open ? vertices : 0, " vertices"), "3");
      open = false;
      const auto first = std::uint32_t(3 * mesh.sizes.size());
      mesh.add_polygon({first, first + 1, first + 2});
    }
  }
  if (open)
    throw InputError(text.where, ": found its end, expected endfacet: it has been cut");
  return mesh;
}

} // namespace theta
