// theta run CONFIG, and its stages one by one: theta fit | sample | eval CONFIG.
#include "tools/options.h"

namespace theta {

void add_run_commands(CLI::App &app, Action &action) {
  const auto add = [&](const std::string &name, const char *what, const std::string &stage) {
    auto *command = app.add_subcommand(name, what);
    auto options = std::make_shared<RunOptions>();
    options->add_to(*command);
    command->callback([&action, options, stage] {
      action = [options, stage] {
        Run run = options->run();
        run.stage = stage;
        Pipeline pipeline(std::move(run));
        stage.empty() ? pipeline.all() : pipeline.run(stage);
      };
    });
  };
  add("run", "the whole pipeline; finished stages are skipped", "");
  for (const auto &stage : stages())
    if (stage->what())
      add(stage->name(), stage->what(), stage->name());
}

} // namespace theta
