#include "plan.h"
#include "kernels/device/error.h"
#include <algorithm>
#include <array>
#include <fmt/core.h>
#include <limits>
#include <numeric>

namespace theta {

namespace {

constexpr std::array class_names{"weights", "gradients", "optimizer", "activations", "workspace", "data", "staging"};
static_assert(class_names.size() == memory_classes);

std::size_t padded(std::size_t bytes) {
  return (bytes + MemoryPlan::alignment - 1) / MemoryPlan::alignment * MemoryPlan::alignment;
}

} // namespace

const char *name_of(MemoryClass kind) { return class_names[std::size_t(kind)]; }

std::size_t MemoryPlan::add(std::string name, MemoryClass kind, Shape shape, Dtype dtype, std::string hint) {
  std::size_t bytes = size_of(dtype);
  for (const auto side : shape) {
    if (side < 0 || (side > 0 && bytes > (std::numeric_limits<std::size_t>::max() >> 2) / std::size_t(side)))
      throw InputError("plan ", name_, ": '", name, "' of shape ", text_of(shape), " is larger than any memory");
    bytes *= std::size_t(side);
  }
  if (hint == "batch")
    hint = batch_;
  const bool from_the_start = kind != MemoryClass::activations && kind != MemoryClass::workspace;
  entries_.push_back({std::move(name), kind, std::move(shape), dtype, std::move(hint), bytes,
                      from_the_start ? 0 : clock_, std::numeric_limits<int>::max(), 0,
                      std::make_shared<std::byte *>(nullptr)});
  ++clock_;
  return entries_.size() - 1;
}

void MemoryPlan::end(std::size_t of) {
  Entry &entry = entries_.at(of);
  if (entry.died != std::numeric_limits<int>::max())
    throw Error("plan ", name_, ": '", entry.name, "' is released twice");
  entry.died = clock_++;
}

std::size_t MemoryPlan::place_block(bool host) {
  std::vector<Entry *> order;
  for (auto &entry : entries_)
    if (entry.on_host() == host)
      order.push_back(&entry);
  std::stable_sort(order.begin(), order.end(), [](const Entry *a, const Entry *b) { return a->bytes > b->bytes; });
  std::vector<const Entry *> placed; // by offset
  std::size_t end = 0;
  for (Entry *entry : order) {
    std::size_t at = 0;
    for (const Entry *other : placed)
      if (other->born < entry->died && entry->born < other->died) {
        if (at + padded(entry->bytes) <= other->offset)
          break; // it fits before this one
        at = std::max(at, other->offset + padded(other->bytes));
      }
    entry->offset = at;
    end = std::max(end, at + padded(entry->bytes));
    placed.insert(std::upper_bound(placed.begin(), placed.end(), entry,
                                   [](const Entry *a, const Entry *b) { return a->offset < b->offset; }),
                  entry);
  }
  return end;
}

void check_unplanned(const std::string &what, int batch) {
  if (batch != 0)
    throw Error(what, ": is planned already");
}

void MemoryPlan::place() {
  for (auto &entry : entries_)
    entry.died = std::min(entry.died, clock_);
  device_bytes_ = place_block(false);
  host_bytes_ = place_block(true);
  placed_ = true;
}

std::size_t MemoryPlan::bytes_of(MemoryClass kind) const {
  return std::accumulate(entries_.begin(), entries_.end(), std::size_t(0),
                         [&](std::size_t sum, const Entry &e) { return sum + (e.kind == kind ? e.bytes : 0); });
}

std::string text_of_bytes(std::size_t bytes) {
  constexpr std::array units{"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
  double value = double(bytes);
  std::size_t unit = 0;
  while (value >= 1024 && unit + 1 < units.size())
    value /= 1024, ++unit;
  return unit == 0 ? fmt::format("{} B", bytes) : fmt::format("{:.1f} {}", value, units[unit]);
}

std::size_t parse_bytes(const std::string &text) {
  std::size_t used = 0;
  double value = -1;
  try {
    value = std::stod(text, &used);
  } catch (const std::exception &) {
  }
  std::string unit = text.substr(std::min(used, text.size()));
  std::erase(unit, ' ');
  constexpr std::array<std::pair<const char *, int>, 12> units{{{"", 0},
                                                                {"B", 0},
                                                                {"K", 10},
                                                                {"KiB", 10},
                                                                {"M", 20},
                                                                {"MiB", 20},
                                                                {"G", 30},
                                                                {"GiB", 30},
                                                                {"T", 40},
                                                                {"TiB", 40},
                                                                {"k", 10},
                                                                {"g", 30}}};
  for (const auto &[name, shift] : units)
    if (unit == name && value >= 0 && value < 1e15)
      return std::size_t(value * double(std::size_t(1) << shift));
  throw InputError("memory budget: found '", text, "', expected a number of bytes such as 800MiB or 2GiB");
}

std::vector<MemoryPlan> copies_of(const std::vector<const MemoryPlan *> &plans) {
  std::vector<MemoryPlan> all;
  for (const MemoryPlan *plan : plans)
    all.push_back(*plan);
  return all;
}

std::string table_of(const MemoryPlan &plan) {
  std::size_t width = 4;
  for (const auto &entry : plan.entries())
    width = std::max(width, entry.name.size());
  std::string out = fmt::format("plan {}\n  {:<{}}  {:<11}  {:<22}  {:<4}  {:>12}  {:>13}  {:>14}\n", plan.name(),
                                "name", width, "class", "shape", "type", "bytes", "lifetime", "offset");
  for (const auto &e : plan.entries()) {
    const std::string life = e.born == 0 && e.died == plan.ticks() ? "always" : fmt::format("{}-{}", e.born, e.died);
    out += fmt::format("  {:<{}}  {:<11}  {:<22}  {:<4}  {:>12}  {:>13}  {:>14}\n", e.name, width, name_of(e.kind),
                       text_of(e.shape), name_of(e.dtype), e.bytes, life,
                       (e.on_host() ? "host+" : "") + std::to_string(e.offset));
  }
  for (int kind = 0; kind < memory_classes; ++kind)
    if (const auto bytes = plan.bytes_of(MemoryClass(kind)))
      out += fmt::format("  {:<12} {:>12}\n", name_of(MemoryClass(kind)), text_of_bytes(bytes));
  out += fmt::format("  device {} ({} bytes, slots with disjoint lifetimes share), host staging {} ({} bytes)\n",
                     text_of_bytes(plan.device_bytes()), plan.device_bytes(), text_of_bytes(plan.host_bytes()),
                     plan.host_bytes());
  return out;
}

std::vector<const MemoryPlan::Entry *> largest_of(const MemoryPlan &plan, std::size_t count) {
  std::vector<const MemoryPlan::Entry *> largest;
  for (const auto &entry : plan.entries())
    if (!entry.on_host())
      largest.push_back(&entry);
  std::stable_sort(largest.begin(), largest.end(), [](const auto *a, const auto *b) { return a->bytes > b->bytes; });
  largest.resize(std::min(count, largest.size()));
  return largest;
}

void check_budget(const MemoryPlan &plan, Backend backend, Budget budget) {
  const std::size_t bytes = plan.bytes_on(backend);
  if (!budget || bytes <= *budget)
    return;
  std::string what;
  for (const auto *entry : largest_of(plan, 3))
    what += fmt::format("{}{} {} ({}{})", what.empty() ? "" : ", ", entry->name, text_of(entry->shape),
                        text_of_bytes(entry->bytes), entry->hint.empty() ? "" : "; smaller with less " + entry->hint);
  throw InputError("plan ", plan.name(), " needs ", text_of_bytes(bytes),
                   plan.bytes_beside() > 0 ? " with what lives beside it" : "", ", more than the budget of ",
                   text_of_bytes(*budget), ". Largest: ", what);
}

} // namespace theta
