// theta wall CONFIG: how large networks and batches may be before a memory is full, without touching a device.
#include "data/json.h"
#include "engine/pipeline/budget/wall.h"
#include "engine/report/charts.h"
#include "engine/training/journal.h"
#include "kernels/device/parallel.h"
#include "tools/options.h"
#include <exception>
#include <fmt/core.h>
#include <mutex>

namespace theta {

namespace {

struct WallOptions : RunOptions {
  std::string memory = "24GiB,80GiB,141GiB";
  bool json = false;
  std::string png;

  std::vector<std::size_t> memories() const {
    std::vector<std::size_t> all;
    for (std::size_t at = 0; at <= memory.size();) {
      const std::size_t end = std::min(memory.find(',', at), memory.size());
      all.push_back(parse_bytes(memory.substr(at, end - at)));
      at = end + 1;
    }
    return all;
  }
};

std::string text_of_count(std::size_t n) {
  if (n >= no_wall)
    return "no wall";
  if (n < 10000)
    return std::to_string(n);
  return n < 1'000'000       ? fmt::format("{:.4g} k", double(n) / 1e3)
         : n < 1'000'000'000 ? fmt::format("{:.4g} M", double(n) / 1e6)
                             : fmt::format("{:.4g} G", double(n) / 1e9);
}

std::string strategy_of(const WallCase &c) {
  std::string text;
  for (const auto &change : c.changes)
    text += (text.empty() ? "" : ", ") + change.substr(change.rfind('.', change.find('=')) + 1);
  return text.empty() ? "as configured" : text;
}

void wall(const WallOptions &o) {
  const bool cuda = o.device == "cuda";
  if (cuda && !built_with_cuda)
    throw InputError("wall: this build has no CUDA kernels to plan for");
  const RunMemory memory(o.config, o.set, cuda ? Backend::cuda : Backend::cpu);
  const auto memories = o.memories();
  Json rows = Json::array();
  std::vector<Curve> curves;
  if (!o.json) {
    fmt::print("largest V, and largest batch at V = {}, on {}\n{:<14} {:<52}", memory.planned().parameters, o.device,
               "generator", "with");
    for (const std::size_t bytes : memories)
      fmt::print(" {:>22}", text_of_bytes(bytes));
    fmt::print("\n");
  }
  // Cases side by side; what they came to in their order.
  const auto cases = wall_cases(memory);
  std::vector<std::vector<Wall>> walls(cases.size());
  std::vector<std::exception_ptr> failed(cases.size());
  std::mutex telling;
  Journal journal({}, Journal::Without::terminal);
  {
    Progress progress(journal, "wall", "cases", double(cases.size()));
    std::size_t done = 0;
    parallel_each(long(cases.size()), [&](long i) {
      try {
        for (const std::size_t bytes : memories)
          walls[std::size_t(i)].push_back(wall_of(memory, cases[std::size_t(i)], bytes));
      } catch (...) {
        failed[std::size_t(i)] = std::current_exception();
      }
      const std::lock_guard lock(telling);
      progress.update(double(++done), cases[std::size_t(i)].generator);
    });
  }
  for (const auto &each : failed)
    if (each)
      std::rethrow_exception(each);
  for (std::size_t i = 0; i < cases.size(); ++i) {
    const WallCase &c = cases[i];
    const std::string name = c.generator.empty() ? "zoo and eval" : c.generator, with = strategy_of(c);
    Curve curve{name + (c.changes.empty() ? "" : ": " + with), {}, {}};
    std::string line = fmt::format("{:<14} {:<52}", name, with);
    for (const Wall &w : walls[i]) {
      const std::size_t bytes = w.memory;
      line += fmt::format(" {:>10} {:>11}", text_of_count(w.parameters),
                          c.generator.empty() ? "" : "batch " + std::to_string(w.batch));
      rows.push_back({{"generator", c.generator},
                      {"changes", c.changes},
                      {"memory", bytes},
                      {"parameters", w.parameters},
                      {"no_wall", w.parameters >= no_wall},
                      {"batch", w.batch},
                      {"full_first", w.stage}});
      if (w.parameters > 0)
        curve.x.push_back(double(bytes) / double(1 << 30)), curve.y.push_back(double(w.parameters));
    }
    curves.push_back(curve);
    if (!o.json)
      fmt::print("{}\n", line);
  }
  if (o.json)
    fmt::print("{}\n", Json{{"device", o.device}, {"walls", rows}}.dump(1));
  if (!o.png.empty())
    line_chart({.title = "the largest networks that memories hold", .x_label = "GiB", .y_label = "V"}, curves)
        .save(o.png);
}

} // namespace

void add_wall_command(CLI::App &app, Action &action) {
  auto *command = app.add_subcommand("wall", "the largest networks and batches that a memory holds");
  auto options = std::make_shared<WallOptions>();
  options->device = "cpu";
  options->add_plan_to(*command);
  command->add_option("--memory", options->memory, "memories, e.g. 24GiB,80GiB,141GiB");
  command->add_flag("--json", options->json, "print the same facts as JSON");
  command->add_option("--png", options->png, "draw the largest V against memory");
  command->callback([&action, options] { action = [options] { wall(*options); }; });
}

} // namespace theta
