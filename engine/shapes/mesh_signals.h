// The signals of meshes, computed on a device.
#pragma once
#include "data/mesh_folder.h"
#include "engine/memory/plan.h"
#include <functional>

namespace theta {

class MeshSignals {
public:
  explicit MeshSignals(const DatasetOptions &);
  const MemoryPlan &plan() const { return plan_; }

  // train: a signal a mesh at even_points(). A point is inside where the winding number is ½ or more; its distance is
  // that to the nearest triangle.
  Dataset run(Device, const MeshFolder &);
  // Of one mesh: at each point the signed distance, below 0 inside.
  std::vector<float> distances(Stream &, const Mesh &);

private:
  static constexpr int triangles_at_once = 8192;
  DatasetOptions options_;
  std::vector<float> points_;
  MemoryPlan plan_{"data.meshes", "data.points"};
  Tensor<float> point_, winding_, squared_, corner_; // [points, 3], [points] twice, [at once, 3, 3]
};

// load_dataset, and of meshes their signals. What should be said of the files (skipped, open) goes to `tell`.
Dataset load_signals(Device, const DatasetOptions &, const std::function<void(const std::string &)> &tell);

} // namespace theta
