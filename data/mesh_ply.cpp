// PLY (Turk, 1994): a header that describes elements and their properties, then the elements, as text or in bytes.
#include "kernels/device/error.h"
#include "mesh_formats.h"
#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

namespace theta {

namespace {

enum class Encoding { text, little, big };

// One of PLY's types: its bytes, and whether it is signed, or floating.
struct ScalarType {
  int bytes = 0;
  bool is_signed = false, is_float = false;
};

struct Property {
  std::string name;
  ScalarType type;
  ScalarType count; // of a list
  bool is_list = false;
};

struct Element {
  std::string name;
  long count = 0;
  std::vector<Property> properties;
};

ScalarType type_named(std::string_view name, const MeshLines &lines) {
  struct Named {
    const char *name, *also;
    ScalarType type;
  };
  static constexpr std::array<Named, 8> all{{{"char", "int8", {1, true, false}},
                                             {"uchar", "uint8", {1, false, false}},
                                             {"short", "int16", {2, true, false}},
                                             {"ushort", "uint16", {2, false, false}},
                                             {"int", "int32", {4, true, false}},
                                             {"uint", "uint32", {4, false, false}},
                                             {"float", "float32", {4, true, true}},
                                             {"double", "float64", {8, true, true}}}};
  for (const Named &each : all)
    if (name == each.name || name == each.also)
      return each.type;
  lines.refuse("the type '" + std::string(name.substr(0, 32)) + "'", "one of PLY's");
}

struct Header {
  Encoding encoding = Encoding::text;
  std::vector<Element> elements;
};

Header read_header(MeshLines &lines, const std::string &where) {
  constexpr long most = std::int64_t(1) << 31;
  Header header;
  bool has_format = false;
  if (!lines.next() || lines.word() != "ply")
    throw InputError(where, ": found no 'ply' in its first line");
  while (true) {
    if (!lines.next())
      throw InputError(where, ": found its end, expected end_header: it has been cut");
    const auto word = lines.word();
    if (word == "end_header")
      break;
    if (word == "format") {
      const auto format = lines.word();
      if (format != "ascii" && format != "binary_little_endian" && format != "binary_big_endian")
        lines.refuse("'" + std::string(format.substr(0, 32)) + "'", "ascii, binary_little_endian or binary_big_endian");
      header.encoding = format == "ascii"                  ? Encoding::text
                        : format == "binary_little_endian" ? Encoding::little
                                                           : Encoding::big;
      has_format = true;
    } else if (word == "element") {
      Element element{std::string(lines.word()), 0, {}};
      element.count = lines.whole(0, most);
      header.elements.push_back(std::move(element));
    } else if (word == "property") {
      if (header.elements.empty())
        lines.refuse("a property", "an element before it");
      Property property;
      auto type = lines.word();
      if (type == "list") {
        property.is_list = true, property.count = type_named(lines.word(), lines);
        if (property.count.is_float)
          lines.refuse("a list's length of floating point", "a whole number");
        type = lines.word();
      }
      property.type = type_named(type, lines);
      property.name = lines.word();
      header.elements.back().properties.push_back(std::move(property));
    }
  }
  if (!has_format)
    throw InputError(where, ": found no format in its header");
  return header;
}

// The values of the elements, one after another.
class Values {
public:
  Values(const MeshText &text, MeshLines &lines, Encoding encoding)
      : text_(text), lines_(lines), encoding_(encoding), at_(lines.at()) {}

  void begin_element() {
    if (encoding_ == Encoding::text && !lines_.next())
      cut();
  }
  double next(ScalarType type) {
    if (encoding_ == Encoding::text)
      return lines_.number();
    const auto bytes = std::size_t(type.bytes);
    if (text_.content.size() - at_ < bytes)
      cut();
    std::array<char, 8> raw{};
    std::memcpy(raw.data(), text_.content.data() + at_, bytes);
    at_ += bytes;
    if (encoding_ == Encoding::big)
      std::reverse(raw.begin(), raw.begin() + std::ptrdiff_t(bytes));
    if (type.is_float)
      return type.bytes == 4 ? double(as<float>(raw)) : as<double>(raw);
    switch (type.bytes) {
    case 1:
      return type.is_signed ? double(as<std::int8_t>(raw)) : double(as<std::uint8_t>(raw));
    case 2:
      return type.is_signed ? double(as<std::int16_t>(raw)) : double(as<std::uint16_t>(raw));
    default:
      return type.is_signed ? double(as<std::int32_t>(raw)) : double(as<std::uint32_t>(raw));
    }
  }
  // Of a list: no longer than what is left of the file can hold.
  std::size_t length(const Property &list) {
    const double length = next(list.count);
    const std::size_t left = text_.content.size() - (encoding_ == Encoding::text ? 0 : at_);
    if (!(length >= 0) || length != std::floor(length) || length > double(left))
      throw InputError(text_.where, ": found a list of ", length, " values, expected at most the ", left,
                       " bytes that are left");
    return std::size_t(length);
  }

private:
  template <class T> static T as(const std::array<char, 8> &raw) {
    T value;
    std::memcpy(&value, raw.data(), sizeof value);
    return value;
  }
  [[noreturn]] void cut() const {
    throw InputError(text_.where, ": found its end, expected more values: it has been cut");
  }
  const MeshText &text_;
  MeshLines &lines_;
  Encoding encoding_;
  std::size_t at_;
};

bool is_corners(const Property &p) { return p.is_list && (p.name == "vertex_indices" || p.name == "vertex_index"); }

template <class T> std::string names_of(const std::vector<T> &all) {
  std::string names;
  for (const T &each : all)
    names += (names.empty() ? "'" : ", '") + each.name.substr(0, 32) + "'";
  return names.empty() ? "nothing" : names;
}

// Every corner makes a triangle with the two before it, every other one the other way round.
void add_strip(StoredMesh &mesh, const std::vector<std::uint32_t> &corners) {
  for (std::size_t k = 2; k < corners.size(); ++k) {
    const std::uint32_t a = corners[k - 2], b = corners[k - 1], c = corners[k];
    if (a != b && b != c && c != a) // such triangles join strips
      mesh.add_polygon(k % 2 == 0 ? std::vector{a, b, c} : std::vector{b, a, c});
  }
}

} // namespace

StoredMesh read_ply(const MeshText &text) {
  MeshLines lines(text, {});
  const Header header = read_header(lines, text.where);
  Values values(text, lines, header.encoding);
  StoredMesh mesh;
  bool has_vertices = false, has_faces = false;
  std::vector<std::uint32_t> corners;
  for (const Element &element : header.elements) {
    const bool vertices = element.name == "vertex", faces = element.name == "face",
               strips = element.name == "tristrips";
    if ((faces || strips) && std::none_of(element.properties.begin(), element.properties.end(), is_corners))
      throw InputError(text.where, ": found ", element.name, " with ", names_of(element.properties),
                       ", expected the list vertex_indices");
    std::array<bool, 3> axes{};
    for (const Property &p : element.properties)
      for (std::size_t a = 0; a < 3; ++a)
        axes[a] = axes[a] || (!p.is_list && p.name == std::string(1, char('x' + a)));
    if (vertices && !(axes[0] && axes[1] && axes[2]))
      throw InputError(text.where, ": found vertices without x, y and z");
    has_vertices |= vertices;
    if (element.properties.empty())
      continue; // nothing is stored of it
    for (long i = 0; i < element.count; ++i) {
      values.begin_element();
      if (vertices)
        mesh.vertices.resize(mesh.vertices.size() + 3);
      for (const Property &p : element.properties) {
        if (!p.is_list) {
          const double value = values.next(p.type);
          if (vertices && p.name.size() == 1 && p.name[0] >= 'x' && p.name[0] <= 'z')
            mesh.vertices[mesh.vertices.size() - 3 + std::size_t(p.name[0] - 'x')] = value;
          continue;
        }
        const bool is_strip = strips && is_corners(p), is_face = (faces && is_corners(p)) || is_strip;
        const std::size_t length = values.length(p);
        corners.clear();
        for (std::size_t k = 0; k < length; ++k) {
          const double value = values.next(p.type);
          if (!is_face)
            continue;
          if (is_strip && value == -1) { // a strip ends, another begins
            add_strip(mesh, corners), corners.clear();
            continue;
          }
          if (!(value >= 0) || value != std::floor(value) || value > 4294967295.0)
            throw InputError(text.where, ": face ", i, ": found vertex ", value, ", expected whole numbers from 0 on");
          corners.push_back(std::uint32_t(value));
        }
        if (is_strip)
          has_faces = true, add_strip(mesh, corners);
        else if (is_face)
          has_faces = true, mesh.add_polygon(corners);
      }
    }
  }
  if (!has_vertices || !has_faces)
    throw InputError(text.where, ": found ", names_of(header.elements), ", expected vertex, and face or tristrips");
  return mesh;
}

} // namespace theta
