// The pictures at the end of a run of fields.
#pragma once
#include "data/zoo_reader.h"
#include "engine/analysis/group_report.h"
#include "engine/networks/network.h"
#include "kernels/device/device.h"

namespace theta {

// Draws generated.png (samples, a column a class where they were conditioned on one), nearest.png (samples above the
// training images that are nearest to them) and fields.png (training fields above their images) into `folder`. Returns
// their paths.
std::vector<std::filesystem::path> draw_fields(const std::filesystem::path &folder, const NetworkShape &, Device,
                                               const Dataset &, const ZooReader &zoo, const ZooReader &samples,
                                               const std::vector<GroupReport> &);

} // namespace theta
