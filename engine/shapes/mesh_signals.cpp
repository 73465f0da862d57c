#include "mesh_signals.h"
#include "data/hash.h"
#include "data/solids.h"
#include "engine/memory/arena.h"
#include "kernels/operations/mesh_distance.h"
#include <algorithm>
#include <cmath>

namespace theta {

MeshSignals::MeshSignals(const DatasetOptions &o) : options_(o), points_(even_points(o.points)) {
  const auto reserve = [&](const char *name, Shape shape, const char *hint = "") {
    return plan_.reserve<float>(name, MemoryClass::data, std::move(shape), hint);
  };
  point_ = reserve("meshes.points", {o.points, 3}, "data.points");
  winding_ = reserve("meshes.winding", {o.points}), squared_ = reserve("meshes.squared", {o.points});
  corner_ = reserve("meshes.corners", {triangles_at_once, 3, 3});
  plan_.place();
}

std::vector<float> MeshSignals::distances(Stream &s, const Mesh &mesh) {
  const std::size_t n = std::size_t(options_.points);
  copy(s, point_, points_.data(), points_.size() * sizeof(float));
  fill_zero(s, winding_, n * sizeof(float));
  const std::vector<float> far(n, 1e30f);
  copy(s, squared_, far.data(), n * sizeof(float));
  std::vector<float> corners;
  for (std::size_t first = 0; first < mesh.triangle_count(); first += triangles_at_once) {
    const std::size_t count = std::min(std::size_t(triangles_at_once), mesh.triangle_count() - first);
    corners.clear();
    for (std::size_t i = 3 * first; i < 3 * (first + count); ++i) {
      const auto vertex = mesh.vertices.begin() + std::ptrdiff_t(3 * std::size_t(mesh.triangles[i]));
      corners.insert(corners.end(), vertex, vertex + 3);
    }
    copy(s, corner_, corners.data(), corners.size() * sizeof(float));
    s.synchronize();
    mesh_distance<float>(s, winding_, squared_, point_, corner_, options_.points, int(count));
    s.synchronize();
  }
  auto distance = to_host(s, squared_.get(), n);
  const auto winding = to_host(s, winding_.get(), n);
  for (std::size_t p = 0; p < n; ++p)
    distance[p] = (winding[p] >= 0.5f ? -1 : 1) * std::sqrt(distance[p]);
  return distance;
}

Dataset MeshSignals::run(Device device, const MeshFolder &folder) {
  Stream s(device);
  const Arena arena(device, plan_);
  Dataset set{.name = "meshes", .classes = folder.classes, .points = points_};
  set.skipped = folder.skipped, set.first_skipped = folder.first_skipped;
  set.train.labels = folder.labels;
  for (const Mesh &mesh : folder.meshes)
    for (const float d : distances(s, mesh))
      set.train.pixels.push_back(signal_byte(d, options_));
  Hasher hash;
  for (const auto *bytes : {&set.train.pixels, &set.train.labels})
    hash.add(bytes->data(), bytes->size());
  set.fingerprint = hex(hash.value());
  return set;
}

Dataset load_signals(Device device, const DatasetOptions &o, const std::function<void(const std::string &)> &tell) {
  const bool meshes = o.name == "meshes";
  const MeshFolder folder = meshes ? read_mesh_folder(o) : MeshFolder{};
  const Dataset set = meshes ? MeshSignals(o).run(device, folder) : load_dataset(o);
  if (set.skipped > 0)
    tell(text("data: ", set.skipped, " of ", set.skipped + set.train.size() + set.validation.size() + set.test.size(),
              meshes ? " meshes" : " images", " could not be read and were left out; the first: ", set.first_skipped));
  if (folder.turned > 0)
    tell(text("data: ", folder.turned, " of ", folder.meshes.size(),
              " meshes are closed but inside out; their faces were turned"));
  if (folder.open > 0)
    tell(text("data: ", folder.open, " of ", folder.meshes.size(),
              " meshes are not watertight; where they are open, a winding number of one half is their surface"));
  return set;
}

} // namespace theta
