// A zoo at a glance, as one picture.
#pragma once
#include "data/zoo_reader.h"

namespace theta {

// Writes a PNG: histograms of every accuracy and loss column; test loss against step for up to 100 runs, where runs
// have several rows; and of up to 100 networks the hidden unit with the largest weights, where the first layer reads
// square images. Throws Error.
void draw_zoo_sheet(const std::filesystem::path &, const ZooReader &);

} // namespace theta
