#include "charts.h"
#include <algorithm>
#include <array>
#include <cmath>
#include <fmt/core.h>
#include <limits>

namespace theta {

namespace {

// Colours that the colour-blind tell apart (Okabe & Ito, 2008), the yellow darker.
constexpr Color faint{225, 228, 232}, grey{120, 124, 130};
constexpr std::array<Color, 11> palette{{{0, 114, 178},
                                         {213, 94, 0},
                                         {0, 158, 115},
                                         {204, 121, 167},
                                         {230, 159, 0},
                                         {86, 180, 233},
                                         {120, 100, 20},
                                         {90, 90, 90},
                                         {160, 160, 160},
                                         {91, 58, 155},
                                         {122, 74, 43}}};
constexpr int title_size = 20;

struct Span {
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

void title_of(Canvas &canvas, const std::string &title) { canvas.text(24, 14, title, ink, title_size); }
void centred(Canvas &canvas, double x, double y, const std::string &text) {
  canvas.text(int(x) - Canvas::text_width(text) / 2, int(y), text, ink);
}

} // namespace

std::vector<Tick> ticks_of(double low, double high, bool logarithmic) {
  std::vector<Tick> ticks;
  if (logarithmic) {
    const int first = int(std::floor(std::log10(low))), last = int(std::ceil(std::log10(high)));
    const bool fine = last - first <= 3;
    for (int e = first; e <= last; ++e)
      for (const double digit : {1.0, 2.0, 5.0})
        if (const double at = digit * std::pow(10, e); (digit == 1 || fine) && at >= low * 0.999 && at <= high * 1.001)
          ticks.push_back({at, fmt::format("{:g}", at)});
    if (ticks.size() >= 2)
      return ticks;
    ticks.clear();
  }
  const double wanted = (high - low) / 5, power = std::pow(10, std::floor(std::log10(wanted))), of = wanted / power;
  const double step = power * (of < 1.5 ? 1 : of < 3.5 ? 2 : of < 7.5 ? 5 : 10);
  for (double at = std::ceil(low / step - 1e-9) * step; at <= high + 1e-9 * step; at += step)
    ticks.push_back({at, fmt::format("{:.6g}", std::abs(at) < 1e-9 * step ? 0.0 : at)});
  return ticks;
}

Canvas line_chart(const Axes &axes, const std::vector<Curve> &curves) {
  Canvas canvas(960, 540);
  title_of(canvas, axes.title);
  const int left = 90, top = 64, width = 620, height = 400;
  Span xs, ys;
  bool positive = true;
  for (const auto &curve : curves)
    for (std::size_t i = 0; i < curve.x.size(); ++i)
      xs.include(curve.x[i]), ys.include(curve.y[i]), positive &= !(curve.y[i] <= 0);
  const bool log_y = positive && ys.high > 10 * ys.low, log_x = axes.log_x && xs.low > 0 && xs.high > xs.low;
  ys.widen(), xs.widen();
  const auto shown = [](double v, bool logarithmic) { return logarithmic ? std::log10(v) : v; };
  Span x_scale, y_scale;
  x_scale.include(shown(xs.low, log_x)), x_scale.include(shown(xs.high, log_x));
  y_scale.include(shown(ys.low, log_y)), y_scale.include(shown(ys.high, log_y));
  const auto px = [&](double x) { return left + width * x_scale.place(shown(x, log_x)); };
  const auto py = [&](double y) { return top + height * (1 - y_scale.place(shown(y, log_y))); };
  for (const Tick &tick : ticks_of(ys.low, ys.high, log_y)) {
    canvas.line(left, py(tick.at), left + width, py(tick.at), faint, 1);
    canvas.text(left - 10 - Canvas::text_width(tick.text), int(py(tick.at)) - 7, tick.text, ink);
  }
  for (const Tick &tick : ticks_of(xs.low, xs.high, log_x)) {
    canvas.line(px(tick.at), top + height, px(tick.at), top + height + 5, grey, 1);
    centred(canvas, px(tick.at), top + height + 8, tick.text);
  }
  canvas.line(left, top + height, left + width, top + height, grey, 1);
  centred(canvas, left + width / 2, top + height + 30, axes.x_label + (log_x ? " (logarithmic)" : ""));
  canvas.text(left, top - 18, axes.y_label + (log_y ? " (logarithmic)" : ""), ink);
  int named = 0;
  for (std::size_t c = 0; c < curves.size(); ++c) {
    const Color color = palette[c % palette.size()];
    const auto &curve = curves[c];
    for (std::size_t i = 0; i < curve.x.size(); ++i) {
      if (!std::isfinite(curve.y[i]) || !std::isfinite(curve.x[i]))
        continue;
      if (!curve.joined)
        canvas.line(px(curve.x[i]), py(curve.y[i]), px(curve.x[i]), py(curve.y[i]), color, 5);
      else if (i > 0 && std::isfinite(curve.y[i - 1]))
        canvas.line(px(curve.x[i - 1]), py(curve.y[i - 1]), px(curve.x[i]), py(curve.y[i]), color, 2);
    }
    if (curve.name.empty())
      continue;
    canvas.rectangle(left + width + 24, top + 4 + named * 20, 14, 6, color);
    canvas.text(left + width + 46, top + named++ * 20, curve.name, ink);
  }
  return canvas;
}

Canvas stacked(const std::vector<Canvas> &charts) {
  int width = 1, height = 0;
  for (const Canvas &chart : charts)
    width = std::max(width, chart.width()), height += chart.height();
  Canvas all(width, std::max(1, height));
  for (int y = 0; const Canvas &chart : charts) {
    all.paste(0, y, chart);
    y += chart.height();
  }
  return all;
}

Canvas histograms(const std::string &title, const std::vector<Sample> &samples) {
  constexpr int left = 150, width = 660, row = 56, top = 60, bins = 66;
  Canvas canvas(960, top + row * int(samples.size()) + 50);
  title_of(canvas, title);
  Span xs;
  for (const auto &sample : samples)
    for (const float v : sample.values)
      xs.include(v);
  xs.widen();
  for (std::size_t i = 0; i < samples.size(); ++i) {
    std::array<int, bins> count{};
    double mean = 0, n = 0;
    for (const float v : samples[i].values)
      if (std::isfinite(v)) {
        ++count[std::size_t(std::clamp(int(xs.place(v) * bins), 0, bins - 1))];
        mean += (double(v) - mean) / ++n;
      }
    const int most = std::max(1, *std::max_element(count.begin(), count.end())), base = top + row * (int(i) + 1);
    const Color color = palette[i % palette.size()];
    for (int b = 0; b < bins; ++b) {
      const int height = count[std::size_t(b)] * (row - 12) / most;
      canvas.rectangle(left + b * width / bins, base - height, width / bins - 1, height, color);
    }
    canvas.line(left, base, left + width, base, faint, 1);
    canvas.text(16, base - 26, samples[i].name, ink);
    canvas.text(left + width + 14, base - 26, n > 0 ? fmt::format("mean {:.4g}", mean) : "none", ink);
  }
  for (const Tick &tick : ticks_of(xs.low, xs.high, false))
    centred(canvas, left + width * xs.place(tick.at), top + row * int(samples.size()) + 10, tick.text);
  return canvas;
}

Canvas bar_chart(const std::string &title, const std::vector<Bar> &bars) {
  constexpr int left = 170, width = 640, row = 34, top = 60;
  Canvas canvas(960, top + row * int(bars.size()) + 50);
  title_of(canvas, title);
  Span xs;
  xs.include(0);
  for (const Bar &bar : bars)
    xs.include(bar.value), xs.include(bar.low), xs.include(bar.high);
  xs.widen();
  const auto px = [&](double x) { return left + width * xs.place(x); };
  for (const Tick &tick : ticks_of(xs.low, xs.high, false)) {
    canvas.line(px(tick.at), top, px(tick.at), top + row * int(bars.size()), faint, 1);
    centred(canvas, px(tick.at), top + row * int(bars.size()) + 10, tick.text);
  }
  for (std::size_t i = 0; i < bars.size(); ++i) {
    const int y = top + row * int(i);
    canvas.text(16, y + 8, bars[i].name, ink);
    if (!std::isfinite(bars[i].value))
      continue;
    const int from = int(px(std::min(0.0, bars[i].value))), to = int(px(std::max(0.0, bars[i].value)));
    canvas.rectangle(from, y + 6, std::max(1, to - from), row - 12, palette[i % palette.size()]);
    if (std::isfinite(bars[i].low) && std::isfinite(bars[i].high))
      canvas.line(px(bars[i].low), y + row / 2, px(bars[i].high), y + row / 2, ink, 2);
    canvas.text(left + width + 14, y + 8, fmt::format("{:.4g}", bars[i].value), ink);
  }
  return canvas;
}

Canvas picture_grid(const std::string &title, const std::vector<std::string> &labels,
                    const std::vector<std::vector<Picture>> &rows, int side) {
  const int zoom = std::max(1, 56 / side), cell = side * zoom, left = 130, top = 60, gap = 6;
  std::size_t columns = 1;
  for (const auto &row : rows)
    columns = std::max(columns, row.size());
  Canvas canvas(std::max({480, left + int(columns) * (cell + gap) + 20, Canvas::text_width(title, title_size) + 48}),
                top + int(rows.size()) * (cell + gap) + 20);
  title_of(canvas, title);
  for (std::size_t r = 0; r < rows.size(); ++r) {
    const int y0 = top + int(r) * (cell + gap);
    canvas.text(16, y0 + cell / 2 - 7, labels[r], ink);
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
