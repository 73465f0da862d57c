#include "mesh_folder.h"
#include "kernels/device/error.h"
#include "labelled_files.h"
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

namespace theta {

void centre(ExactMesh &mesh, const std::string &where) {
  constexpr double reach = 0.85;
  std::array<double, 3> low, high;
  low.fill(std::numeric_limits<double>::infinity()), high.fill(-std::numeric_limits<double>::infinity());
  for (std::size_t i = 0; i < mesh.vertices.size(); ++i) {
    low[i % 3] = std::min(low[i % 3], mesh.vertices[i]);
    high[i % 3] = std::max(high[i % 3], mesh.vertices[i]);
  }
  double longest = 0;
  for (std::size_t a = 0; a < 3; ++a)
    longest = std::max(longest, high[a] - low[a]);
  if (!(longest > 0) || !std::isfinite(longest))
    throw InputError(where, ": found a mesh without extent");
  for (std::size_t i = 0; i < mesh.vertices.size(); ++i)
    mesh.vertices[i] = (mesh.vertices[i] - (low[i % 3] + high[i % 3]) / 2) * (2 * reach / longest);
}

double volume_of(const ExactMesh &mesh) {
  double six = 0;
  for (std::size_t t = 0; t < mesh.triangles.size(); t += 3) {
    const double *a = mesh.vertices.data() + 3 * std::size_t(mesh.triangles[t]),
                 *b = mesh.vertices.data() + 3 * std::size_t(mesh.triangles[t + 1]),
                 *c = mesh.vertices.data() + 3 * std::size_t(mesh.triangles[t + 2]);
    six += a[0] * (b[1] * c[2] - b[2] * c[1]) + a[1] * (b[2] * c[0] - b[0] * c[2]) + a[2] * (b[0] * c[1] - b[1] * c[0]);
  }
  return six / 6;
}

MeshFolder read_mesh_folder(const DatasetOptions &o) {
  if (o.folder.empty() || !std::filesystem::is_directory(o.folder))
    throw InputError("data.folder: found '", o.folder.string(),
                     "', expected a folder of meshes, or of one folder a class");
  LabelledFiles all;
  if (has_parts(o.folder)) { // all are signals to learn
    LabelledParts parts = labelled_parts(o.folder, is_mesh_file);
    all = std::move(parts.train);
    all.files.insert(all.files.end(), parts.test.files.begin(), parts.test.files.end());
  } else {
    all = labelled_files(o.folder, is_mesh_file);
  }
  if (all.files.empty())
    throw InputError(o.folder.string(), ": found no mesh (OBJ, PLY, STL or OFF)");
  MeshFolder found{.classes = all.classes()};
  SkippedFiles skipped(all.files.size(), "meshes");
  for (const auto &[path, label] : all.files)
    try {
      ExactMesh exact = read_exact_mesh(path);
      centre(exact, path.string());
      Mesh mesh = rounded(exact);
      if (!is_watertight(mesh)) {
        ++found.open;
      } else if (volume_of(exact) < 0) { // all its faces look inwards
        for (std::size_t t = 0; t < mesh.triangles.size(); t += 3)
          std::swap(mesh.triangles[t + 1], mesh.triangles[t + 2]);
        ++found.turned;
      }
      found.meshes.push_back(std::move(mesh)), found.labels.push_back(label);
    } catch (const InputError &e) {
      skipped.add(e.what());
    }
  found.skipped = skipped.count(), found.first_skipped = skipped.first();
  return found;
}

} // namespace theta
