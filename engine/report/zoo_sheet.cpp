#include "zoo_sheet.h"
#include "charts.h"
#include <algorithm>
#include <cmath>
#include <fmt/core.h>
#include <map>

namespace theta {

namespace {

constexpr std::size_t shown_networks = 100, pictures_a_row = 10;

// Test loss by step of each of the first runs that have more than one row.
std::vector<Curve> loss_curves(const ZooReader &zoo) {
  const auto run = zoo.integers("run"), step = zoo.integers("step");
  const auto loss = zoo.floats("test_loss");
  std::map<std::int64_t, Curve> curves;
  for (std::size_t row = 0; row < zoo.rows(); ++row) {
    if (!curves.contains(run[row]) && curves.size() == shown_networks)
      continue;
    curves[run[row]].x.push_back(double(step[row])), curves[run[row]].y.push_back(double(loss[row]));
  }
  std::vector<Curve> drawn;
  for (auto &[number, curve] : curves)
    if (curve.x.size() > 1)
      drawn.push_back(std::move(curve));
  return drawn;
}

// The weights into the hidden unit with the largest norm, of networks spread over the zoo.
std::vector<std::vector<Picture>> strongest_units(const ZooReader &zoo, std::size_t area) {
  std::vector<std::vector<Picture>> rows;
  std::vector<float> theta(zoo.parameters());
  const std::size_t units = std::size_t(zoo.format().layout.front().shape.at(0));
  const std::size_t count = std::min(shown_networks, zoo.rows());
  for (std::size_t i = 0; i < count; ++i) {
    zoo.theta(i * zoo.rows() / count, theta.data());
    std::size_t best = 0;
    float largest = -1;
    for (std::size_t u = 0; u < units; ++u) {
      float norm = 0;
      for (std::size_t p = 0; p < area; ++p)
        norm += theta[u * area + p] * theta[u * area + p];
      if (norm > largest)
        largest = norm, best = u;
    }
    if (i % pictures_a_row == 0)
      rows.emplace_back();
    rows.back().push_back(
        {{theta.begin() + std::ptrdiff_t(best * area), theta.begin() + std::ptrdiff_t((best + 1) * area)}});
  }
  return rows;
}

} // namespace

void draw_zoo_sheet(const std::filesystem::path &path, const ZooReader &zoo) {
  std::vector<Canvas> parts;
  for (const char *kind : {"accuracy", "loss", "psnr"}) {
    std::vector<Sample> samples;
    for (const auto &column : zoo.format().columns)
      if (column.dtype == Dtype::f32 && column.name.ends_with(kind))
        samples.push_back({column.name, zoo.floats(column.name)});
    if (!samples.empty())
      parts.push_back(histograms(fmt::format("{} of {} networks", kind, zoo.rows()), samples));
  }
  if (zoo.has_column("run") && zoo.has_column("step") && zoo.has_column("test_loss"))
    if (const auto curves = loss_curves(zoo); !curves.empty())
      parts.push_back(line_chart(
          {.title = fmt::format("test loss of {} runs", curves.size()), .x_label = "step", .y_label = "loss"}, curves));
  const auto &first = zoo.format().layout.front().shape;
  const auto area = first.size() == 2 ? std::size_t(first[1]) : 0;
  const int side = int(std::lround(std::sqrt(double(area))));
  if (side > 1 && std::size_t(side) * std::size_t(side) == area) {
    const auto rows = strongest_units(zoo, area);
    std::vector<std::string> labels;
    for (std::size_t r = 0; r < rows.size(); ++r)
      labels.push_back(fmt::format("{} to {}", r * pictures_a_row, r * pictures_a_row + rows[r].size() - 1));
    parts.push_back(picture_grid("strongest first-layer unit of each network", labels, rows, side));
  }
  if (parts.empty())
    parts.push_back(histograms("a zoo without accuracies, losses or images", {}));
  stacked(parts).save(path);
}

} // namespace theta
