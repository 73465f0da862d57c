#include "plane_chart.h"
#include "charts.h"
#include "engine/analysis/statistics.h"
#include <algorithm>
#include <cmath>
#include <fmt/core.h>

namespace theta {

namespace {

constexpr int left = 90, top = 64, width = 640, height = 560, bands = 12;

struct Kind {
  const char *name, *text;
  Color color;
  bool joined;
};
constexpr Kind kinds[] = {{"descent", "training, step by step", {0, 114, 178}, true},
                          {"denoising", "from noise to a network", {213, 94, 0}, true},
                          {"predicted", "what it is taken for on the way", {204, 121, 167}, false}};

// The loss at a point of the grid's square, between its neighbours.
double loss_at(const Plane &plane, double across, double up) {
  const std::size_t n = plane.grid_x.size(), m = plane.grid_y.size();
  const double x = across * double(n - 1), y = up * double(m - 1);
  const auto i = std::min(std::size_t(x), n - 2), j = std::min(std::size_t(y), m - 2);
  const auto at = [&](std::size_t a, std::size_t b) { return double(plane.grid_loss[b * n + a]); };
  const double u = x - double(i), v = y - double(j);
  return (1 - v) * ((1 - u) * at(i, j) + u * at(i + 1, j)) + v * ((1 - u) * at(i, j + 1) + u * at(i + 1, j + 1));
}

} // namespace

Canvas plane_chart(const Plane &plane) {
  Canvas canvas(1040, top + height + 70);
  canvas.text(24, 14, "ways through weight space, in the plane of their two largest directions", ink, 20);
  if (plane.grid_x.size() < 2 || plane.grid_y.size() < 2)
    return canvas;
  std::vector<float> losses;
  for (const float loss : plane.grid_loss)
    if (std::isfinite(loss) && loss > 0)
      losses.push_back(std::log10(loss));
  const double low = quantile(losses, 0), high = std::max(low + 1e-6, quantile(losses, 1));
  const auto shade = [&](double loss) -> Color {
    const double share = std::isfinite(loss) && loss > 0 ? (std::log10(loss) - low) / (high - low) : 1;
    const double band = std::clamp(std::floor(share * bands) / (bands - 1), 0.0, 1.0);
    return {std::uint8_t(250 - 90 * band), std::uint8_t(250 - 84 * band), std::uint8_t(246 - 62 * band)};
  };
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x)
      canvas.pixel(left + x, top + y, shade(loss_at(plane, double(x) / (width - 1), 1 - double(y) / (height - 1))));
  const double x0 = plane.grid_x.front(), x1 = plane.grid_x.back(), y0 = plane.grid_y.front(), y1 = plane.grid_y.back();
  const auto px = [&](double x) { return left + width * (x - x0) / (x1 - x0); };
  const auto py = [&](double y) { return top + height * (1 - (y - y0) / (y1 - y0)); };
  for (const Tick &tick : ticks_of(x0, x1, false))
    canvas.text(int(px(tick.at)) - Canvas::text_width(tick.text) / 2, top + height + 8, tick.text, ink);
  for (const Tick &tick : ticks_of(y0, y1, false))
    canvas.text(left - 10 - Canvas::text_width(tick.text), int(py(tick.at)) - 7, tick.text, ink);
  const std::string x_label = fmt::format("first direction, {:.0f} % of the variance", 100 * plane.explained[0]),
                    y_label = fmt::format("second, {:.0f} %", 100 * plane.explained[1]);
  canvas.text(left + width / 2 - Canvas::text_width(x_label) / 2, top + height + 32, x_label, ink);
  canvas.text(left, top - 18, y_label, ink);
  int named = 0;
  for (const Kind &kind : kinds) {
    bool found = false;
    for (const DrawnWay &way : plane.ways) {
      if (way.kind != kind.name)
        continue;
      found = true;
      for (std::size_t i = 0; i < way.x.size(); ++i)
        if (!kind.joined)
          canvas.line(px(way.x[i]), py(way.y[i]), px(way.x[i]), py(way.y[i]), kind.color, 3);
        else if (i > 0)
          canvas.line(px(way.x[i - 1]), py(way.y[i - 1]), px(way.x[i]), py(way.y[i]), kind.color, 2);
      canvas.line(px(way.x.back()), py(way.y.back()), px(way.x.back()), py(way.y.back()), ink, 7); // where it ends
    }
    if (!found)
      continue;
    canvas.rectangle(left + width + 24, top + 4 + named * 22, 14, 6, kind.color);
    canvas.text(left + width + 46, top + named++ * 22, kind.text, ink);
  }
  canvas.line(left + width + 31, top + 8 + named * 22, left + width + 31, top + 8 + named * 22, ink, 7);
  canvas.text(left + width + 46, top + named++ * 22, "where it ends", ink);
  canvas.text(left + width + 24, top + 10 + named * 22, "the darker, the larger the loss:", ink);
  canvas.text(left + width + 24, top + 30 + named * 22,
              fmt::format("{:.3g} to {:.3g}, logarithmic", std::pow(10, low), std::pow(10, high)), ink);
  return canvas;
}

} // namespace theta
