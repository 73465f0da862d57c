// theta compare CONFIG: the networks of any zoos, judged against those that generators saw and those that none has.
#include "tools/options.h"

namespace theta {

void add_compare_command(CLI::App &app, Action &action) {
  auto *command = app.add_subcommand(
      "compare", "judge any zoos beside a run's own groups: quality, novelty, diversity, landscape, and a verdict");
  auto options = std::make_shared<RunOptions>();
  auto zoos = std::make_shared<std::vector<std::string>>();
  auto twin = std::make_shared<std::string>();
  options->add_to(*command);
  command->add_option("--zoo", *zoos, "a zoo to be judged: --zoo NAME=FOLDER (repeatable)")
      ->expected(1)
      ->allow_extra_args(false)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  command->add_option("--twin", *twin, "samples of a generator that has learned other networks, from the same noise");
  command->callback([&action, options, zoos, twin] {
    action = [options, zoos, twin] {
      Run run = options->run();
      EvalConfig &e = run.config.eval;
      e.groups.insert(e.groups.end(), zoos->begin(), zoos->end());
      check_groups(e.groups, "--zoo");
      if (!twin->empty())
        e.twin = *twin;
      run.stage = "eval";
      Pipeline(std::move(run)).run("eval");
    };
  });
}

} // namespace theta
