// Are generated shapes as true ones are? Sets of points on their surfaces, compared (Achlioptas et al., 2018; Yang et
// al., "PointFlow", 2019).
#pragma once
#include "engine/memory/plan.h"
#include "statistics.h"

namespace theta {

// Sets of points, each as planes [3, points].
struct PointSets {
  int count = 0, points = 0;
  std::vector<float> values; // [count, 3, points]
};

// Chamfer's distance: the sum of both mean squared distances to the other set's nearest points.
class ChamferDistances {
public:
  // `sets` and `sets` at a time.
  ChamferDistances(int sets, int points, const std::string &stage = "eval.chamfer");
  const MemoryPlan &plan() const { return plan_; }
  std::vector<double> run(Device, const PointSets &a, const PointSets &b) const; // [a.count, b.count]

private:
  int sets_;
  MemoryPlan plan_;
  Tensor<float> a_, b_, there_, back_;
};

// Earth mover's distance: the mean distance under the best matching, exact (weights/assignment.h), of the first
// `points` points of each set.
std::vector<double> earth_mover(const PointSets &a, const PointSets &b, int points);

// Of distances within the generated sets [n, n], from them to the references [n, m], and within these [m, m]:
struct SetAgreement {
  double mmd = 0;      // mean distance of a reference to the nearest generated set
  double coverage = 0; // share of references that are the nearest one of some generated set
  Share one_nna;       // of all sets, whose nearest other one is of their own kind: ½ where nobody can tell them apart
};
SetAgreement agreement(const std::vector<double> &within, const std::vector<double> &between,
                       const std::vector<double> &references, int n, int m);

} // namespace theta
