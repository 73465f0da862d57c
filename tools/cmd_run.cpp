// theta run CONFIG, and its stages one by one: theta fit | sample | eval CONFIG.
#include "tools/options.h"

namespace theta {

void add_run_commands(CLI::App &app, Action &action) {
  const auto add = [&](const char *name, const char *what, StageOfAll stage) {
    auto *command = app.add_subcommand(name, what);
    auto options = std::make_shared<RunOptions>();
    options->add_to(*command);
    const std::string stage_name = stage.one == &Stages::all ? "" : name;
    command->callback([&action, options, stage, stage_name] {
      action = [options, stage, stage_name] {
        Run run = options->run();
        run.stage = stage_name;
        run_stage(std::move(run), stage);
      };
    });
  };
  add("run", "the whole pipeline; finished stages are skipped", {&Stages::all, &Family::all});
  add("fit", "train the generator on the run's zoo", {&Stages::fit, &Family::fit});
  add("sample", "generate networks with the run's generator", {&Stages::sample, &Family::sample});
  add("finetune", "what generated networks are worth as a start of training", {&Stages::finetune, &Family::finetune});
  add("eval", "how good and how new the generated networks are, beside all baselines", {&Stages::eval, &Family::eval});
}

} // namespace theta
