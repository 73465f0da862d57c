#include "pictures.h"
#include "kernels/device/error.h"
#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

namespace theta {

Canvas picture_sheet(const std::vector<FieldPicture> &pictures, int side, int channels, int columns, int scale) {
  if (channels != 1 && channels != 3)
    throw InputError("pictures: found ", channels, " channels, expected 1 or 3");
  const int count = int(pictures.size()), rows = (count + columns - 1) / columns, gap = std::max(2, scale),
            pitch = side * scale + gap;
  Canvas sheet(columns * pitch + gap, rows * pitch + gap, {24, 24, 28});
  for (int i = 0; i < count; ++i) {
    const auto byte = [&](int point, int channel) {
      const float value = pictures[std::size_t(i)].values.at(std::size_t(point * channels + channel));
      return std::uint8_t(std::lround(255 * std::clamp(value, 0.0f, 1.0f))); // NaN is black: clamp keeps it
    };
    const int left = gap + i % columns * pitch, top = gap + i / columns * pitch;
    for (int p = 0; p < side * side; ++p) {
      const std::uint8_t r = byte(p, 0), g = channels == 3 ? byte(p, 1) : r, b = channels == 3 ? byte(p, 2) : r;
      sheet.rectangle(left + p % side * scale, top + p / side * scale, scale, scale, {r, g, b});
    }
  }
  return sheet;
}

std::vector<std::size_t> rows_by_class(const ZooReader &samples, std::size_t a_class, std::size_t most) {
  std::vector<std::size_t> order(samples.rows());
  std::iota(order.begin(), order.end(), std::size_t(0));
  if (samples.has_column(told_class)) {
    const auto told = samples.floats(told_class);
    std::map<float, std::size_t> seen;
    std::erase_if(order, [&](std::size_t i) { return seen[told[i]]++ >= a_class; });
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return told[a] < told[b]; });
  }
  order.resize(std::min(order.size(), most));
  return order;
}

} // namespace theta
