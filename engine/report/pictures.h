// Pictures side by side on one canvas.
#pragma once
#include "canvas.h"
#include "data/zoo_reader.h"

namespace theta {

// The column of samples that were conditioned on a class.
inline constexpr const char *told_class = "told_class";

// One picture: [side², channels], a point's channels together, 0 to 1; what lies beyond is clipped. One channel is
// gray, three are red, green and blue.
struct FieldPicture {
  std::vector<float> values;
};

// Rows of `columns` pictures of side x side points, each `scale` pixels wide, with a gap between. Throws InputError for
// other than one or three channels.
Canvas picture_sheet(const std::vector<FieldPicture> &, int side, int channels, int columns, int scale);

// The samples that a sheet shows: the first of each class, class by class, where they were conditioned on one, else the
// first.
std::vector<std::size_t> rows_by_class(const ZooReader &samples, std::size_t a_class, std::size_t most);

} // namespace theta
