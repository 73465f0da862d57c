// The pictures at the end of a run of fields of bodies.
#pragma once
#include "data/mesh_file.h"
#include "data/zoo_reader.h"
#include "engine/analysis/group_report.h"
#include "engine/networks/network.h"
#include "kernels/device/device.h"

namespace theta {

// Fields as meshes, where they pass one half on a grid of side³ points; those without a surface are empty.
std::vector<Mesh> meshes_of(const NetworkShape &, Device, const ZooReader &, const std::vector<std::size_t> &rows,
                            int side);

// Draws generated.png (samples, a row a class where they were conditioned on one), nearest.png (samples above the
// training fields whose shapes are nearest to them) and fields.png (training fields) into `folder`. Returns their
// paths.
std::vector<std::filesystem::path> draw_shapes(const std::filesystem::path &folder, const NetworkShape &, Device,
                                               const ZooReader &zoo, const ZooReader &samples,
                                               const std::vector<GroupReport> &);

} // namespace theta
