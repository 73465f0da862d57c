#include "digest.h"
#include <algorithm>
#include <fmt/core.h>
#include <set>

namespace theta {

namespace {

constexpr int columns = 60; // of a waterfall

bool lives(const MemoryPlan::Entry &e, int tick) { return e.born <= tick && tick < e.died; }

// The first tick of a column of the waterfall, of those that a plan has.
int tick_of(const MemoryPlan &plan, int column) { return int(long(plan.ticks()) * column / columns); }

} // namespace

std::size_t alive_at(const MemoryPlan &plan, int tick) {
  std::size_t bytes = 0;
  for (const auto &e : plan.entries())
    bytes += !e.on_host() && lives(e, tick) ? e.bytes : 0;
  return bytes;
}

std::size_t alive_at(const MemoryPlan &plan, int tick, MemoryClass kind) {
  std::size_t bytes = 0;
  for (const auto &e : plan.entries())
    bytes += e.kind == kind && lives(e, tick) ? e.bytes : 0;
  return bytes;
}

Peak peak_of(const MemoryPlan &plan) {
  Peak peak;
  for (int tick = 0; tick < plan.ticks(); ++tick)
    if (const std::size_t bytes = alive_at(plan, tick); bytes > peak.bytes)
      peak = {tick, bytes};
  return peak;
}

std::string summary_of(const std::vector<MemoryPlan> &plans) {
  std::string out = fmt::format("{:<16} {:>10} {:>10}  {:<78} {}\n", "stage", "device", "host", "largest", "less with");
  for (const auto &plan : plans) {
    std::string largest;
    std::vector<std::string> hints;
    for (const auto *e : largest_of(plan, 3)) {
      largest += fmt::format("{}{} {}", largest.empty() ? "" : ", ", e->name, text_of_bytes(e->bytes));
      if (!e->hint.empty() && std::find(hints.begin(), hints.end(), e->hint) == hints.end())
        hints.push_back(e->hint);
    }
    std::string less;
    for (const auto &hint : hints)
      less += (less.empty() ? "" : ", ") + hint;
    out += fmt::format("{:<16} {:>10} {:>10}  {:<78} {}\n", plan.name(), text_of_bytes(plan.device_bytes()),
                       text_of_bytes(plan.all_host_bytes()), largest, less);
  }
  return out;
}

std::string classes_of(const std::vector<MemoryPlan> &plans) {
  std::string out = fmt::format("{:<16}", "at its peak");
  for (int kind = 0; kind < memory_classes; ++kind)
    out += fmt::format(" {:>11}", name_of(MemoryClass(kind)));
  out += '\n';
  for (const auto &plan : plans) {
    const int tick = peak_of(plan).tick;
    out += fmt::format("{:<16}", plan.name());
    for (int kind = 0; kind < memory_classes; ++kind) {
      const std::size_t bytes = alive_at(plan, tick, MemoryClass(kind));
      out += fmt::format(" {:>11}", bytes ? text_of_bytes(bytes) : "");
    }
    out += '\n';
  }
  return out;
}

std::string waterfall_of(const MemoryPlan &plan, std::size_t most) {
  static constexpr std::array heights{" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
  const Peak peak = peak_of(plan);
  const auto shown = largest_of(plan, most);
  std::size_t width = 12;
  for (const auto *e : shown)
    width = std::max(width, e->name.size());
  const auto line = [&](const std::string &name, std::size_t bytes, auto cell) {
    std::string bar;
    for (int column = 0; column < columns; ++column)
      bar += cell(tick_of(plan, column), std::max(tick_of(plan, column) + 1, tick_of(plan, column + 1)));
    return fmt::format("  {:<{}} {:>10}  {}\n", name, width, text_of_bytes(bytes), bar);
  };
  std::string out = fmt::format("{}: {} of the device at the most, over {} moments of one pass\n", plan.name(),
                                text_of_bytes(plan.device_bytes()), plan.ticks());
  out += line("alive", peak.bytes, [&](int first, int last) -> std::string {
    std::size_t bytes = 0;
    for (int tick = first; tick < last; ++tick)
      bytes = std::max(bytes, alive_at(plan, tick));
    return heights[peak.bytes == 0 ? 0 : (bytes * (heights.size() - 1) + peak.bytes / 2) / peak.bytes];
  });
  for (const auto *e : shown)
    out += line(e->name, e->bytes,
                [&](int first, int last) -> std::string { return e->born < last && first < e->died ? "█" : "·"; });
  if (const std::size_t on_device = std::size_t(
          std::count_if(plan.entries().begin(), plan.entries().end(), [](const auto &e) { return !e.on_host(); }));
      on_device > shown.size()) {
    std::size_t rest = 0;
    const std::set<const MemoryPlan::Entry *> listed(shown.begin(), shown.end());
    for (const auto &e : plan.entries())
      rest += e.on_host() || listed.contains(&e) ? 0 : e.bytes;
    out += fmt::format("  {:<{}} {:>10}  {} more\n", "", width, text_of_bytes(rest), on_device - shown.size());
  }
  return out;
}

} // namespace theta
