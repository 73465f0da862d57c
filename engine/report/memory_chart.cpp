#include "memory_chart.h"
#include <algorithm>
#include <array>

namespace theta {

namespace {

constexpr Color track{236, 238, 241};
constexpr std::array<Color, memory_classes> colors{
    {{31, 119, 180}, {214, 39, 40}, {148, 103, 189}, {44, 160, 44}, {255, 127, 14}, {140, 86, 75}, {127, 127, 127}}};

} // namespace

Canvas memory_chart(const std::string &title, const std::vector<MemoryPlan> &plans) {
  constexpr int left = 40, top = 84, width = 880, height = 220, gap = 56;
  Canvas canvas(960, top + int(plans.size()) * (height + gap));
  canvas.text(24, 14, title, ink, 20);
  int x = left;
  for (int kind = 0; kind < memory_classes; ++kind) {
    if (MemoryClass(kind) == MemoryClass::staging)
      continue; // on the host
    canvas.rectangle(x, 48, 12, 10, colors[std::size_t(kind)]);
    canvas.text(x + 18, 46, name_of(MemoryClass(kind)), ink);
    x += 40 + Canvas::text_width(name_of(MemoryClass(kind)));
  }
  for (std::size_t i = 0; i < plans.size(); ++i) {
    const MemoryPlan &plan = plans[i];
    const int y0 = top + int(i) * (height + gap);
    canvas.text(left, y0 - 2, plan.name() + ": " + text_of_bytes(plan.device_bytes()), ink);
    const int base = y0 + 16 + height;
    canvas.rectangle(left, y0 + 16, width, height, track);
    const double per_byte = double(height) / double(std::max<std::size_t>(1, plan.device_bytes()));
    const double per_tick = double(width) / std::max(1, plan.ticks());
    for (const auto &e : plan.entries()) {
      if (e.on_host())
        continue;
      const int from = left + int(e.born * per_tick), to = left + int(e.died * per_tick);
      const int low = base - int(double(e.offset) * per_byte), high = base - int(double(e.offset + e.bytes) * per_byte);
      canvas.rectangle(from, high, std::max(1, to - from - 1), std::max(0, low - high - 1),
                       colors[std::size_t(e.kind)]);
      if (low - high > 14 && to - from > Canvas::text_width(e.name) + 8)
        canvas.text(from + 4, (low + high) / 2 - 7, e.name, {255, 255, 255});
    }
  }
  return canvas;
}

} // namespace theta
