// theta plan CONFIG: the memory of every stage, what lives when, and what changes would do, without touching a device.
#include "data/json.h"
#include "engine/memory/digest.h"
#include "engine/pipeline/budget/run_memory.h"
#include "engine/report/memory_chart.h"
#include "tools/options.h"
#include <fmt/core.h>

namespace theta {

namespace {

Json json_of(const MemoryPlan &plan) {
  Json entries = Json::array(), classes = Json::object();
  for (const auto &e : plan.entries())
    entries.push_back({{"name", e.name},
                       {"class", name_of(e.kind)},
                       {"shape", e.shape},
                       {"dtype", name_of(e.dtype)},
                       {"bytes", e.bytes},
                       {"lifetime", {e.born, e.died}},
                       {"offset", e.offset},
                       {"host", e.on_host()}});
  for (int kind = 0; kind < memory_classes; ++kind)
    classes[name_of(MemoryClass(kind))] = plan.bytes_of(MemoryClass(kind));
  return {{"name", plan.name()},
          {"device_bytes", plan.device_bytes()},
          {"host_bytes", plan.all_host_bytes()},
          {"classes", classes},
          {"entries", entries}};
}

// Signed, of two sizes.
std::string text_of_change(std::size_t before, std::size_t after) {
  return (after < before ? "−" : "+") + text_of_bytes(after < before ? before - after : after - before);
}

// What a device's libraries take beside a plan.
constexpr const char *beside_on_cuda = ", and 32.0 MiB of cuBLASLt's workspace";

struct PlanOptions : RunOptions {
  std::vector<std::string> what_if;
  bool json = false, all = false;
  std::string png;
};

Json json_of(const RunMemory::Growth &g) {
  return {{"stage", g.stage}, {"batch", g.batch}, {"bytes", text_of(g)}, {"v", g.of_v},
          {"b_v", g.of_bv},   {"b", g.of_b},      {"rest", g.rest},      {"error_at_three_times", g.error}};
}

void print_plans(const RunMemory &memory, const RunMemory::Planned &now, Backend backend, const PlanOptions &o) {
  if (o.all)
    for (const auto &plan : now.plans)
      fmt::print("{}\n", table_of(plan));
  fmt::print("{} of {} parameters a network\n\n{}\n{}\n{}\n", now.config.name, now.parameters, summary_of(now.plans),
             classes_of(now.plans), waterfall_of(now.plans[now.stage]));
  std::string growth;
  for (const auto &g : memory.growth())
    growth +=
        fmt::format("{:<16} {}, B = {} ({:+.1f} % at three times both)\n", g.stage, text_of(g), g.batch, 100 * g.error);
  if (!growth.empty())
    fmt::print("bytes, from the plans at V and 2·V, B and 2·B\n{}\n", growth);
  fmt::print("stages run one after another: at most {} of memory at a time, {}'s{}\n", text_of_bytes(now.bytes),
             now.plans[now.stage].name(), backend == Backend::cuda ? beside_on_cuda : "");
}

void plan(const PlanOptions &o) {
  const bool cuda = o.device == "cuda";
  if (cuda && !built_with_cuda)
    throw InputError("plan: this build has no CUDA kernels to plan for");
  const Backend backend = cuda ? Backend::cuda : Backend::cpu;
  const RunMemory memory(o.config, o.set, backend, o.budget());
  const auto now = memory.planned();
  Json changes = Json::array();
  std::string table;
  for (const auto &change : o.what_if) {
    const auto then = memory.planned({change});
    changes.push_back({{"change", change}, {"peak_bytes", then.bytes}, {"stage", then.plans[then.stage].name()}});
    std::string stages;
    for (std::size_t i = 0; i < std::min(now.plans.size(), then.plans.size()); ++i)
      if (const auto before = now.plans[i].bytes_on(backend), after = then.plans[i].bytes_on(backend); before != after)
        stages += fmt::format("  {} {}", then.plans[i].name(), text_of_change(before, after));
    table += fmt::format("{:<32} {:>10} → {:<10}{}\n", change, text_of_bytes(now.bytes), text_of_bytes(then.bytes),
                         stages.empty() ? "  nothing changes" : stages);
  }
  if (o.json) {
    Json all = Json::array(), growth = Json::array();
    std::size_t largest = 0;
    for (const auto &plan : now.plans) {
      all.push_back(json_of(plan));
      largest = std::max(largest, plan.device_bytes());
    }
    for (const auto &g : memory.growth())
      growth.push_back(json_of(g));
    fmt::print("{}\n", Json{{"parameters", now.parameters},
                            {"plans", all},
                            {"peak_device_bytes", largest},
                            {"growth", growth},
                            {"what_if", changes}}
                           .dump(1));
  } else {
    print_plans(memory, now, backend, o);
    if (!table.empty())
      fmt::print("\nwhat if\n{}", table);
  }
  if (!o.png.empty())
    memory_chart(now.config.name, now.plans).save(o.png);
  if (const Budget budget = o.budget(); budget && now.bytes > *budget)
    try {
      for (const auto &plan : now.plans)
        check_budget(plan, backend, budget);
    } catch (const InputError &e) {
      const auto advice = memory.advice(*budget);
      std::string with;
      for (const auto &change : advice.changes)
        with += " --set " + change;
      throw InputError(e.what(), advice.fits ? ". It fits with" : ". No setting makes it fit",
                       advice.fits || with.empty() ? "" : "; the nearest is", with);
    }
}

} // namespace

void add_plan_command(CLI::App &app, Action &action) {
  auto *command = app.add_subcommand("plan", "the memory of every stage, without touching a device");
  auto options = std::make_shared<PlanOptions>();
  options->device = "cpu";
  options->add_plan_to(*command);
  command->add_option("--what-if", options->what_if, "what a change would do: --what-if fit.latent=64 (repeatable)")
      ->expected(1)
      ->allow_extra_args(false)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  command->add_option("--memory-budget", options->memory_budget, "refuse a plan above this, e.g. 2GiB");
  command->add_flag("--all", options->all, "every entry of every plan, too");
  command->add_flag("--json", options->json, "print the same facts as JSON");
  command->add_option("--png", options->png, "draw what lives when, and where");
  command->callback([&action, options] { action = [options] { plan(*options); }; });
}

} // namespace theta
