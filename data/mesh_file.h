// Triangle meshes as other programs store them: OBJ, PLY, STL and OFF, as text or in bytes.
#pragma once
#include <cstdint>
#include <filesystem>
#include <vector>

namespace theta {

struct Mesh {
  std::vector<float> vertices;          // [V, 3]
  std::vector<std::uint32_t> triangles; // [T, 3], counter-clockwise seen from outside
  std::size_t vertex_count() const { return vertices.size() / 3; }
  std::size_t triangle_count() const { return triangles.size() / 3; }
};

// The same, with coordinates as exact as a file has them.
struct ExactMesh {
  std::vector<double> vertices;
  std::vector<std::uint32_t> triangles;
};
Mesh rounded(const ExactMesh &);

// By its ending. Polygons become triangles within them; texture, colour and normals are left out, and vertices that no
// triangle has; vertices that are the same become one. Throws InputError, with the line where there are lines, for what
// is damaged, cut, without a triangle, names a vertex that is not there, or has a coordinate that is not a finite
// number.
ExactMesh read_exact_mesh(const std::filesystem::path &);
Mesh read_mesh(const std::filesystem::path &);    // rounded
bool is_mesh_file(const std::filesystem::path &); // by its ending

// PLY (binary, little endian), STL (binary) or OBJ, by the ending. Atomic. Throws InputError for another ending.
void write_mesh(const std::filesystem::path &, const Mesh &);

// Whether every edge belongs to two triangles that pass it in opposite directions: the mesh has an inside.
bool is_watertight(const Mesh &);
// Vertices in use − edges + triangles: 2 for a sphere, 0 for a torus, summed over the pieces.
long euler_characteristic(const Mesh &);

} // namespace theta
