// theta plan CONFIG: the memory of every stage, without touching a device.
#include "data/json.h"
#include "engine/pipeline/source.h"
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
          {"host_bytes", plan.host_bytes()},
          {"classes", classes},
          {"entries", entries}};
}

} // namespace

void add_plan_command(CLI::App &app, Action &action) {
  auto *command = app.add_subcommand("plan", "print the memory of every stage, without touching a device");
  auto options = std::make_shared<RunOptions>();
  options->device = "cpu";
  auto json = std::make_shared<bool>(false);
  command->add_option("CONFIG", options->config, "configuration, e.g. runs/demo.toml")->required();
  command->add_option("--set", options->set, "override a key: --set zoo.steps=500 (repeatable)")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  command->add_option("--for", options->device, "plan for cpu (default) or cuda: their workspaces differ")
      ->check(CLI::IsMember({"cpu", "cuda"}));
  command->add_option("--memory-budget", options->memory_budget, "refuse a plan above this, e.g. 2GiB");
  command->add_flag("--json", *json, "print the same facts as JSON");
  command->callback([&action, options, json] {
    action = [options, json] {
      const bool cuda = options->device == "cuda";
      if (cuda && !built_with_cuda)
        throw InputError("plan: this build has no CUDA kernels to plan for");
      const Backend backend = cuda ? Backend::cuda : Backend::cpu;
      const auto plans = plans_of(options->load(), backend, options->budget());
      Json all = Json::array();
      std::size_t largest = 0;
      for (const auto &plan : plans) {
        all.push_back(json_of(plan));
        largest = std::max(largest, plan.device_bytes());
        if (!*json)
          fmt::print("{}\n", table_of(plan));
      }
      if (*json)
        fmt::print("{}\n", Json{{"plans", all}, {"peak_device_bytes", largest}}.dump(1));
      else
        fmt::print("stages run one after another: at most {} of device memory at a time{}\n", text_of_bytes(largest),
                   cuda ? ", and 32.0 MiB of cuBLASLt's workspace" : "");
      for (const auto &plan : plans)
        check_budget(plan, backend, options->budget());
    };
  });
}

} // namespace theta
