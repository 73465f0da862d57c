// The pictures at the end of a run.
#pragma once
#include "data/zoo_reader.h"
#include "engine/analysis/novelty.h"

namespace theta {

// Draws loss_curves.png (from metrics.jsonl), accuracy.png (histograms of all groups) and first_layer.png (weights of
// training and generated networks as images of `side` x `side` pixels) into `folder`. Returns their paths.
std::vector<std::filesystem::path> draw_report(const std::filesystem::path &folder,
                                               const std::filesystem::path &metrics,
                                               const std::vector<GroupReport> &groups, const ZooReader &zoo,
                                               const ZooReader &samples, int side);

} // namespace theta
