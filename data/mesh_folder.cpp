#include "mesh_folder.h"
#include "kernels/device/error.h"
#include "labelled_files.h"
#include <algorithm>
#include <array>
#include <limits>

namespace theta {

void centre(Mesh &mesh, const std::string &where) {
  constexpr double reach = 0.85;
  std::array<double, 3> low, high;
  low.fill(std::numeric_limits<double>::infinity()), high.fill(-std::numeric_limits<double>::infinity());
  for (std::size_t i = 0; i < mesh.vertices.size(); ++i) {
    low[i % 3] = std::min(low[i % 3], double(mesh.vertices[i]));
    high[i % 3] = std::max(high[i % 3], double(mesh.vertices[i]));
  }
  double longest = 0;
  for (std::size_t a = 0; a < 3; ++a)
    longest = std::max(longest, high[a] - low[a]);
  if (!(longest > 0))
    throw InputError(where, ": found a mesh without extent");
  for (std::size_t i = 0; i < mesh.vertices.size(); ++i)
    mesh.vertices[i] = float((mesh.vertices[i] - (low[i % 3] + high[i % 3]) / 2) * (2 * reach / longest));
}

MeshFolder read_mesh_folder(const DatasetOptions &o) {
  if (o.folder.empty() || !std::filesystem::is_directory(o.folder))
    throw InputError("data.folder: found '", o.folder.string(),
                     "', expected a folder of meshes, or of one folder a class");
  const LabelledFiles all = labelled_files(o.folder, is_mesh_file);
  if (all.files.empty())
    throw InputError(o.folder.string(), ": found no mesh (OBJ, PLY, STL or OFF)");
  MeshFolder found{.classes = all.classes};
  SkippedFiles skipped(all.files.size(), "meshes");
  for (const auto &[path, label] : all.files)
    try {
      Mesh mesh = read_mesh(path);
      centre(mesh, path.string());
      found.open += !is_watertight(mesh);
      found.meshes.push_back(std::move(mesh)), found.labels.push_back(label);
    } catch (const InputError &e) {
      skipped.add(e.what());
    }
  found.skipped = skipped.count(), found.first_skipped = skipped.first();
  return found;
}

} // namespace theta
