// A folder of meshes: the signals of three-dimensional fields, once it is known where they have their insides.
#pragma once
#include "dataset.h"
#include "mesh_file.h"

namespace theta {

struct MeshFolder {
  std::vector<Mesh> meshes; // each moved to the middle and scaled to ±0.85 along its longest side
  std::vector<std::uint8_t> labels;
  int classes = 1;
  std::size_t open = 0;   // meshes that are not watertight
  std::size_t turned = 0; // closed ones whose faces looked inwards, turned
  std::size_t skipped = 0;
  std::string first_skipped;
};

// OBJ, PLY, STL and OFF files of data.folder: of a folder a class (its files may lie deeper, as ShapeNet has them), of
// train and test with the same classes each or the other way round (ModelNet's), or of one flat folder. Throws
// InputError where there is none, or for one that is damaged (of a thousand files and more, some are left out and
// counted).
MeshFolder read_mesh_folder(const DatasetOptions &);

// Into the cube −1..1. Throws InputError for a mesh without extent.
void centre(ExactMesh &, const std::string &where);
double volume_of(const ExactMesh &); // negative where its faces look inwards

} // namespace theta
