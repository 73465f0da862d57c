// theta run CONFIG, and its stages one by one: theta fit | sample | eval CONFIG.
#include "tools/options.h"

namespace theta {

void add_run_commands(CLI::App &app, Action &action) {
  const auto add = [&](const char *name, const char *what, void (Stages::*stage)()) {
    auto *command = app.add_subcommand(name, what);
    auto options = std::make_shared<RunOptions>();
    options->add_to(*command);
    const std::string stage_name = stage == &Stages::all ? "" : name;
    command->callback([&action, options, stage, stage_name] {
      action = [options, stage, stage_name] {
        Run run = options->run();
        run.stage = stage_name;
        Stages stages(std::move(run));
        (stages.*stage)();
      };
    });
  };
  add("run", "the whole pipeline; finished stages are skipped", &Stages::all);
  add("fit", "train the generator on the run's zoo", &Stages::fit);
  add("sample", "generate networks with the run's generator", &Stages::sample);
  add("eval", "how good and how new the generated networks are, beside all baselines", &Stages::eval);
}

} // namespace theta
