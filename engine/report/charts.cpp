#include "charts.h"
#include <algorithm>
#include <array>
#include <cmath>
#include <fmt/core.h>
#include <limits>

namespace theta {

namespace {

constexpr Color ink{40, 44, 52}, faint{225, 228, 232};
constexpr std::array<Color, 9> palette{{{31, 119, 180},
                                        {44, 160, 44},
                                        {214, 39, 40},
                                        {148, 103, 189},
                                        {255, 127, 14},
                                        {140, 86, 75},
                                        {23, 190, 207},
                                        {188, 143, 34},
                                        {127, 127, 127}}};

struct Range {
  double low = std::numeric_limits<double>::infinity(), high = -std::numeric_limits<double>::infinity();
  void include(double x) {
    if (std::isfinite(x))
      low = std::min(low, x), high = std::max(high, x);
  }
  void widen() { // an empty or single-valued range gets a width
    if (!(low <= high))
      low = 0, high = 1;
    if (low == high)
      low -= 0.5, high += 0.5;
  }
  double place(double x) const { return (x - low) / (high - low); }
};

void title_of(Canvas &canvas, const std::string &title) { canvas.text(24, 16, title, ink, 2); }

} // namespace

Canvas line_chart(const std::string &title, const std::string &x_label, const std::vector<Curve> &curves) {
  Canvas canvas(960, 540);
  title_of(canvas, title);
  const int left = 90, top = 60, width = 640, height = 400;
  Range xs, ys;
  bool positive = true;
  for (const auto &curve : curves)
    for (std::size_t i = 0; i < curve.x.size(); ++i)
      xs.include(curve.x[i]), ys.include(curve.y[i]), positive &= !(curve.y[i] <= 0);
  const bool logarithmic = positive && ys.high > 10 * ys.low;
  const auto shown = [&](double y) { return logarithmic ? std::log10(y) : y; };
  Range scale;
  scale.include(shown(ys.low)), scale.include(shown(ys.high));
  scale.widen(), xs.widen();
  const auto px = [&](double x) { return left + width * xs.place(x); };
  const auto py = [&](double y) { return top + height * (1 - scale.place(shown(y))); };
  for (int i = 0; i <= 4; ++i) {
    const double x = xs.low + (xs.high - xs.low) * i / 4, value = scale.low + (scale.high - scale.low) * i / 4;
    const double y = top + height * (1 - i / 4.0);
    canvas.line(left, y, left + width, y, faint, 1);
    const auto y_text = fmt::format("{:.3g}", logarithmic ? std::pow(10, value) : value),
               x_text = fmt::format("{:.4g}", x);
    canvas.text(left - 10 - Canvas::text_width(y_text), int(y) - 4, y_text, ink);
    canvas.text(int(px(x)) - Canvas::text_width(x_text) / 2, top + height + 10, x_text, ink);
  }
  canvas.text(left + width / 2 - Canvas::text_width(x_label) / 2, top + height + 30, x_label, ink);
  for (std::size_t c = 0; c < curves.size(); ++c) {
    const Color color = palette[c % palette.size()];
    const auto &curve = curves[c];
    for (std::size_t i = 1; i < curve.x.size(); ++i)
      if (std::isfinite(curve.y[i - 1]) && std::isfinite(curve.y[i]))
        canvas.line(px(curve.x[i - 1]), py(curve.y[i - 1]), px(curve.x[i]), py(curve.y[i]), color);
    if (curve.name.empty())
      continue;
    canvas.rectangle(left + width + 24, top + int(c) * 18, 12, 8, color);
    canvas.text(left + width + 42, top + int(c) * 18, curve.name, ink);
  }
  return canvas;
}

Canvas histograms(const std::string &title, const std::vector<Sample> &samples) {
  constexpr int left = 130, width = 700, row = 56, top = 60, bins = 70;
  Canvas canvas(960, top + row * int(samples.size()) + 50);
  title_of(canvas, title);
  Range xs;
  for (const auto &sample : samples)
    for (const float v : sample.values)
      xs.include(v);
  xs.widen();
  for (std::size_t i = 0; i < samples.size(); ++i) {
    std::array<int, bins> count{};
    double mean = 0;
    for (const float v : samples[i].values) {
      ++count[std::size_t(std::clamp(int(xs.place(v) * bins), 0, bins - 1))];
      mean += v / double(samples[i].values.size());
    }
    const int most = std::max(1, *std::max_element(count.begin(), count.end())), base = top + row * (int(i) + 1);
    const Color color = palette[i % palette.size()];
    for (int b = 0; b < bins; ++b) {
      const int height = count[std::size_t(b)] * (row - 12) / most;
      canvas.rectangle(left + b * width / bins, base - height, width / bins - 1, height, color);
    }
    canvas.line(left, base, left + width, base, faint, 1);
    canvas.text(16, base - 24, samples[i].name, ink);
    canvas.text(left + width + 14, base - 24, fmt::format("mean {:.4g}", mean), ink);
  }
  for (int i = 0; i <= 4; ++i) {
    const auto text = fmt::format("{:.4g}", xs.low + (xs.high - xs.low) * i / 4);
    canvas.text(left + width * i / 4 - Canvas::text_width(text) / 2, top + row * int(samples.size()) + 14, text, ink);
  }
  return canvas;
}

Canvas picture_grid(const std::string &title, const std::vector<std::string> &labels,
                    const std::vector<std::vector<Picture>> &rows, int side) {
  const int zoom = std::max(1, 56 / side), cell = side * zoom, left = 130, top = 60, gap = 6;
  std::size_t columns = 1;
  for (const auto &row : rows)
    columns = std::max(columns, row.size());
  Canvas canvas(std::max(480, left + int(columns) * (cell + gap) + 20), top + int(rows.size()) * (cell + gap) + 20);
  title_of(canvas, title);
  for (std::size_t r = 0; r < rows.size(); ++r) {
    const int y0 = top + int(r) * (cell + gap);
    canvas.text(16, y0 + cell / 2 - 4, labels[r], ink);
    float largest = 1e-30f;
    for (const auto &picture : rows[r])
      for (const float v : picture.values)
        largest = std::max(largest, std::abs(v));
    for (std::size_t c = 0; c < rows[r].size(); ++c)
      for (int y = 0; y < cell; ++y)
        for (int x = 0; x < cell; ++x) {
          const float v = rows[r][c].values[std::size_t(y / zoom * side + x / zoom)] / largest;
          const auto fade = std::uint8_t(255 * (1 - std::min(1.0f, std::abs(v))));
          canvas.pixel(left + int(c) * (cell + gap) + x, y0 + y,
                       v > 0 ? Color{255, fade, fade} : Color{fade, fade, 255});
        }
  }
  return canvas;
}

} // namespace theta
