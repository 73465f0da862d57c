// theta bench: operations and training steps against what the device can do.
#include "data/atomic_file.h"
#include "engine/bench/bench.h"
#include "engine/training/interrupt.h"
#include "tools/options.h"
#include <fmt/core.h>
#include <regex>

namespace theta {

namespace {

struct BenchOptions {
  std::string only, device = "auto", json;
  bool list = false;
};

void bench(const BenchOptions &o) {
  const Device device = Device::parse(o.device);
  std::vector<BenchCase> chosen;
  try {
    const std::regex wanted(o.only);
    for (auto &c : bench_cases(device))
      if (o.only.empty() || std::regex_search(c.name, wanted))
        chosen.push_back(std::move(c));
  } catch (const std::regex_error &) {
    throw InputError("bench: --only: found '", o.only, "', expected a regular expression");
  }
  if (chosen.empty())
    throw InputError("bench: --only: '", o.only, "' fits no case; --list names them");
  if (o.list) {
    for (const auto &c : chosen)
      fmt::print("{:<52}{}\n", c.name,
                 c.planned_bytes > 0 ? fmt::format(" plans {:.2f} GB", c.planned_bytes * 1e-9) : "");
    return;
  }
  const auto all = devices();
  const auto facts = *std::find_if(all.begin(), all.end(), [&](const DeviceFacts &f) { return f.device == device; });
  Stream s(device);
  fmt::print("{}\n", facts.description);
  const BenchCeilings c = measure_ceilings(s);
  if (s.is_cuda())
    fmt::print("ceilings of this run: copy {:.1f} GB/s, products {:.2f} TFLOP/s fp32, {:.1f} TFLOP/s bf16\n\n",
               c.copy * 1e-9, c.fp32 * 1e-12, c.bf16 * 1e-12);
  else
    fmt::print(
        "ceilings of this run, {} threads: copy {:.1f} GB/s; multiply-adds {:.3f} TFLOP/s ({:.3f} on one core; a "
        "product of 1024 x 1024: {:.3f}), of bf16 {:.3f} (its product: {:.3f}); reads {:.0f} GB/s from the first "
        "cache, {:.0f} from the second\n\n",
        facts.units, c.copy * 1e-9, c.fp32 * 1e-12, c.one_core * 1e-12, c.product * 1e-12, c.bf16 * 1e-12,
        c.half_product * 1e-12, c.first_cache * 1e-9, c.second_cache * 1e-9);
  fmt::print("{:<52} {:>10} {:>9} {:>9} {:>7}\n", "", "ms", "GB/s", "TFLOP/s", "limit");
  std::vector<BenchResult> results;
  for (const auto &one : chosen) {
    if (interrupted())
      break;
    const std::size_t memory = std::size_t(one.planned_bytes);
    if (memory > facts.memory / 10 * 9) {
      fmt::print("{:<52} needs {}, more than this device has\n", one.name, text_of_bytes(memory));
      continue;
    }
    const BenchResult r = measure(s, one, c);
    fmt::print("{:<52} {:>10.4f} {:>9.1f} {:>9.2f} {:>6.1f}%{}\n", r.name, r.seconds * 1e3, r.bytes / r.seconds * 1e-9,
               r.flops / r.seconds * 1e-12, 100 * r.share,
               r.steps > 0 ? fmt::format("  {:.4g} network-steps/s", r.steps / r.seconds) : "");
    std::fflush(stdout);
    results.push_back(r);
  }
  if (!o.json.empty())
    write_file(o.json, bench_record(facts, c, results) + "\n");
  if (interrupted())
    throw Interrupted("bench: stopped after ", results.size(), " of ", chosen.size(), " cases",
                      o.json.empty() ? "" : "; what was measured is in " + o.json);
}

} // namespace

void add_bench_command(CLI::App &app, Action &action) {
  auto *command = app.add_subcommand("bench", "time operations and training steps against the device's limits");
  auto o = std::make_shared<BenchOptions>();
  command->add_option("--only", o->only, "only cases whose name this regular expression fits");
  command->add_option("--device", o->device, "auto, cpu, cuda or cuda:N");
  command->add_option("--json", o->json, "write a record to this file");
  command->add_flag("--list", o->list, "name the cases, with the memory that whole steps plan, and stop");
  command->callback([&action, o] { action = [o] { bench(*o); }; });
}

} // namespace theta
