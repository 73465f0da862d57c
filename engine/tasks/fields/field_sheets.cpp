#include "field_sheets.h"
#include "engine/report/pictures.h"
#include "renderer.h"
#include "signals.h"
#include <algorithm>
#include <numeric>

namespace theta {

std::vector<std::filesystem::path> draw_fields(const std::filesystem::path &folder, const NetworkShape &shape,
                                               Device device, const Dataset &data, const ZooReader &zoo,
                                               const ZooReader &samples, const std::vector<GroupReport> &reports) {
  constexpr int columns = 16, rows = 10;
  const int scale = std::max(1, 42 / data.side);
  std::filesystem::create_directories(folder);
  FieldRenderer renderer(shape, pixel_grid(data.side), 2, 16);
  const std::size_t n = renderer.values();
  const auto drawn = [&](const ZooReader &from, const std::vector<std::size_t> &which) {
    std::vector<FieldPicture> pictures(which.size());
    renderer.render(
        device, which.size(), [&](std::size_t i, float *theta) { from.theta(which[i], theta); },
        [&](std::size_t i, const float *values) { pictures[i].values.assign(values, values + n); });
    return pictures;
  };
  const auto image = [&](std::size_t signal) { return FieldPicture{picture_of(data, signal)}; };
  const auto save = [&](const char *name, const std::vector<FieldPicture> &pictures, int wide) {
    picture_sheet(pictures, data.side, data.channels, wide, scale).save(folder / name);
    return folder / name;
  };
  std::vector<std::filesystem::path> paths{
      save("generated.png", drawn(samples, rows_by_class(samples, columns, columns * rows)), columns)};

  const auto above = [&](const ZooReader &from, const std::vector<std::size_t> &which, auto image_of) {
    const auto top = drawn(from, which);
    std::vector<FieldPicture> sheet;
    for (std::size_t first = 0; first < which.size(); first += columns) {
      const std::size_t end = std::min(first + columns, which.size());
      sheet.insert(sheet.end(), top.begin() + std::ptrdiff_t(first), top.begin() + std::ptrdiff_t(end));
      for (std::size_t i = first; i < end; ++i)
        sheet.push_back(image_of(which[i]));
    }
    return sheet;
  };
  std::vector<std::size_t> first(std::min<std::size_t>(samples.rows(), 4 * columns));
  std::iota(first.begin(), first.end(), std::size_t(0));
  const auto made = std::find_if(reports.begin(), reports.end(), [](const auto &r) { return r.name == "generated"; });
  if (made != reports.end() && made->broken == 0) {
    const auto &nearest = made->of("image");
    first.resize(std::min(first.size(), nearest.size()));
    paths.push_back(save(
        "nearest.png", above(samples, first, [&](std::size_t i) { return image(std::size_t(nearest[i])); }), columns));
  }
  const auto signal = zoo.integers("signal");
  first.resize(std::min<std::size_t>(zoo.rows(), 2 * columns));
  std::iota(first.begin(), first.end(), std::size_t(0));
  paths.push_back(
      save("fields.png", above(zoo, first, [&](std::size_t row) { return image(std::size_t(signal[row])); }), columns));
  return paths;
}

} // namespace theta
