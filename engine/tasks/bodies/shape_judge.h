// Are generated fields shapes of what was asked for, as various as true ones, and new? Groups of three-dimensional
// fields, measured by their surfaces.
#pragma once
#include "engine/analysis/nearest.h"
#include "engine/analysis/point_sets.h"
#include "engine/tasks/fields/field_rows.h"
#include "engine/tasks/fields/renderer.h"

namespace theta {

struct ShapeReport {
  std::string name;
  std::size_t networks = 0, broken = 0; // broken: values that are not finite, or no surface
  double iou = 0;                       // of fields with a signal: inside of both over inside of either, the mean
  Share recognised;                     // of those with a class, whose nearest training shape (Chamfer) is of it
  Share memorised;                      // nearer to training fields than to control ones, by weights
  SetAgreement chamfer, earth_mover;    // with the references; the second of the first shapes alone
  std::vector<double> distance;         // of each (Chamfer), to the training shape that is nearest
  std::vector<std::size_t> nearest;     // which that is: a row of the zoo
};

class ShapeJudge {
public:
  // Points across a body, and on its surface. Matchings are exact, so of fewer: points of a surface, and shapes of a
  // group.
  struct Detail {
    int grid = 40, surface = 512, matched = 128, most_matched = 100;
  };

  // At most `shapes` of a group and of the references are looked at, and five times as many training shapes. Throws
  // InputError for networks that are not fields of three coordinates.
  ShapeJudge(const NetworkShape &, const DatasetSizes &, const std::vector<float> &points, int shapes, int wave,
             std::uint64_t seed, Detail detail);
  ShapeJudge(const NetworkShape &shape, const DatasetSizes &sizes, const std::vector<float> &points, int shapes,
             int wave, std::uint64_t seed)
      : ShapeJudge(shape, sizes, points, shapes, wave, seed, Detail()) {}
  std::vector<const MemoryPlan *> plans() const;

  // `references`: held-out fields that no group has; `training` and `control`: equally many fields. All must live as
  // long.
  void start(Device, const Dataset &, const NetworkSet &references, GroupNetworks training, NetworkSet control);
  ShapeReport judge(const std::string &name, const GroupNetworks &);

private:
  // Points on the surfaces of the first fields; a field without one is marked.
  PointSets surfaces_of(const NetworkSet &, int most, std::uint32_t stream, std::vector<char> &broken);
  double overlap(const GroupNetworks &, const std::vector<std::size_t> &kept);

  Detail detail_;
  FieldRenderer volume_, places_;
  ChamferDistances chamfer_;
  NearestSearch weights_;
  int shapes_;
  std::uint64_t seed_;
  Device device_;
  const Dataset *data_ = nullptr;
  GroupNetworks training_;
  NetworkSet control_;
  PointSets references_, few_references_, seen_; // of held-out fields; of training ones
  std::vector<double> reference_chamfer_, reference_matched_;
};

} // namespace theta
