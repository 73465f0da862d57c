// The pictures at the end of a run.
#pragma once
#include "charts.h"
#include "engine/analysis/assigned.h"
#include "engine/analysis/group_report.h"

namespace theta {

// The mean of all y at each x.
Curve mean_by_x(const Curve &);

// What the pictures of weights show.
struct PicturedNetworks {
  const NetworkSet &generated, &training;
  const std::optional<AssignedDistance> &assigned; // of a generated network and the training network nearest to it
  const std::vector<TensorPlace> &layout;
  int side; // of the images that the first layer reads, if it does
};

// Draws into `folder`: loss_curves.png (from metrics.jsonl), accuracy.png (histograms of all groups), novelty.png (the
// overlap of mistakes against accuracy, and noise copies' frontier), memorised.png, lines.png (the loss on the way to
// the nearest training network), spectrum.png, and first_layer.png (generated networks' weights, each above those of
// the training network nearest to it). Returns the paths.
std::vector<std::filesystem::path> draw_report(const std::filesystem::path &folder,
                                               const std::filesystem::path &metrics,
                                               const std::vector<GroupReport> &groups, const PicturedNetworks &);

} // namespace theta
