// The formats of meshes, each from the bytes of a whole file. To add one: a function, and its line in mesh_file.cpp.
#pragma once
#include "mesh_file.h"
#include <string>
#include <string_view>

namespace theta {

// A file's content and the name that errors give it.
struct MeshText {
  std::string_view content;
  std::string where;
};

// They check everything but what is the same for all: that indices name vertices and that coordinates are finite.
Mesh read_obj(const MeshText &);
Mesh read_off(const MeshText &);
Mesh read_stl(const MeshText &);
Mesh read_ply(const MeshText &);

// Adds a polygon as a fan.
void add_polygon(Mesh &, const std::vector<std::uint32_t> &corners);

// The lines of a text, and the words of a line.
class MeshLines {
public:
  explicit MeshLines(const MeshText &text) : text_(text) {}

  // The next line that has words, without what follows a '#'. False at the end.
  bool next();
  // Its next word; empty at its end.
  std::string_view word();
  std::size_t at() const { return at_; } // bytes of the content that are behind it

  // The next word as a number. Throw InputError with the line.
  double number();
  long whole(long from, long to);
  [[noreturn]] void refuse(const std::string &found, const std::string &expected) const;

private:
  MeshText text_;
  std::size_t at_ = 0;
  long line_number_ = 0;
  std::string_view line_;
};

} // namespace theta
