// The command line of theta: options that several subcommands share.
#pragma once
#include "engine/pipeline/stages/pipeline.h"
#include "engine/pipeline/studies/study.h"
#include <CLI/CLI.hpp>
#include <functional>

namespace theta {

// What a subcommand does, once the command line has been read.
using Action = std::function<void()>;

// Options of the commands that work on a run.
struct RunOptions {
  std::string config, out, device = "auto", memory_budget;
  std::vector<std::string> set;

  void add_set_to(CLI::App &command) {
    command.add_option("--set", set, "override a key: --set zoo.steps=500 (repeatable)")
        ->expected(1)
        ->allow_extra_args(false)
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  }

  void add_to(CLI::App &command) {
    command.add_option("CONFIG", config, "configuration, e.g. runs/demo.toml")->required();
    add_set_to(command);
    command.add_option("--out", out, "folder of the run (default runs/out/NAME)");
    command.add_option("--device", device, "auto, cpu, cuda or cuda:N");
    command.add_option("--memory-budget", memory_budget, "refuse a plan above this, e.g. 2GiB");
  }

  // Of commands that plan, and touch no device.
  void add_plan_to(CLI::App &command) {
    command.add_option("CONFIG", config, "configuration, e.g. runs/demo.toml")->required();
    add_set_to(command);
    command.add_option("--for", device, "plan for cpu or cuda: their workspaces differ")
        ->check(CLI::IsMember({"cpu", "cuda"}));
  }

  Config load() const { return load_config(config, set); }

  Run run() const {
    Config c = load();
    const std::filesystem::path folder =
        out.empty() ? std::filesystem::path("runs/out") / c.name : std::filesystem::path(out);
    return {.config = std::move(c),
            .out = folder,
            .device = Device::parse(device),
            .memory_budget = budget(),
            .version = THETA_VERSION " (" THETA_COMMIT ")"};
  }

  std::optional<std::size_t> budget() const {
    return memory_budget.empty() ? std::nullopt : std::optional(parse_bytes(memory_budget));
  }
};

void add_run_commands(CLI::App &, Action &);       // run, fit, sample, eval
void add_report_commands(CLI::App &, Action &);    // report, watch
void add_zoo_commands(CLI::App &, Action &);       // zoo train|info|verify
void add_generator_commands(CLI::App &, Action &); // generator info
void add_keys_command(CLI::App &, Action &);       // keys
void add_plan_command(CLI::App &, Action &);       // plan
void add_wall_command(CLI::App &, Action &);       // wall
void add_bench_command(CLI::App &, Action &);      // bench
void add_device_command(CLI::App &, Action &);     // device
void add_compare_command(CLI::App &, Action &);    // compare
void add_render_command(CLI::App &, Action &);
void add_write_command(CLI::App &, Action &); // write
void add_study_command(CLI::App &, Action &); // study

} // namespace theta
