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

// What a file says: coordinates as exact as it has them, and polygons.
struct StoredMesh {
  std::vector<double> vertices;       // [V, 3]
  std::vector<std::uint32_t> corners; // of all polygons, one after another
  std::vector<std::size_t> sizes;     // of each polygon
  std::size_t vertex_count() const { return vertices.size() / 3; }
  void add_polygon(const std::vector<std::uint32_t> &of) {
    corners.insert(corners.end(), of.begin(), of.end()), sizes.push_back(of.size());
  }
};

// They check everything but what is the same for all: that indices name vertices and that coordinates are finite.
StoredMesh read_obj(const MeshText &);
StoredMesh read_off(const MeshText &);
StoredMesh read_stl(const MeshText &);
StoredMesh read_ply(const MeshText &);

// A polygon of vertices, counter-clockwise seen from outside, as triangles within it: a fan where it is convex, else
// ear by ear (Meisters, "Polygons have ears", 1975) in the plane that its area is largest in.
void triangulate(std::vector<std::uint32_t> &triangles, const std::vector<double> &vertices,
                 const std::uint32_t *corners, std::size_t n);

// The lines of a text, and the words of a line.
class MeshLines {
public:
  // What a format's lines may have: comments, which begin with '#' where a word may begin; a '\\' at a line's end,
  // after which it goes on.
  struct Have {
    bool comments = false, continued = false;
  };
  MeshLines(const MeshText &text, Have have);

  // The next line that has words. False at the end.
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
  Have have_;
  std::size_t at_ = 0;
  long line_number_ = 0;
  std::string_view line_;
  std::string joined_; // of a line that goes on
};

} // namespace theta
