// theta study FILE: one configuration, run again and again with what differs, and a table of it.
#include "engine/pipeline/studies/study.h"
#include "tools/options.h"
#include <fmt/core.h>

namespace theta {

void add_study_command(CLI::App &app, Action &action) {
  auto options = std::make_shared<RunOptions>();
  auto *command =
      app.add_subcommand("study", "run one configuration with what differs, and lay the figures side by side");
  command->add_option("FILE", options->config, "a study, e.g. runs/data_wall.toml")->required();
  options->add_set_to(*command);
  command->add_option("--out", options->out, "folder of its runs (default runs/out/NAME)");
  command->add_option("--device", options->device, "auto, cpu, cuda or cuda:N");
  command->add_option("--memory-budget", options->memory_budget, "refuse a plan above this, e.g. 2GiB");
  command->callback([&action, options] {
    action = [options] {
      const Study study = load_study(options->config, options->set);
      const std::filesystem::path out =
          options->out.empty() ? std::filesystem::path("runs/out") / study.name : std::filesystem::path(options->out);
      run_study(study, out, Device::parse(options->device), options->budget(), THETA_VERSION " (" THETA_COMMIT ")");
      fmt::print("{}", table_of(study, out));
    };
  });
}

} // namespace theta
