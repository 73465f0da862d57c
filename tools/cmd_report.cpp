// theta report RUN…: pictures and a page of what runs have found; theta watch RUN: its curves while it trains.
#include "data/json.h"
#include "engine/pipeline/pages/page_files.h"
#include "engine/pipeline/pages/watch.h"
#include "engine/training/interrupt.h"
#include "tools/options.h"
#include <fmt/core.h>

namespace theta {

namespace {

namespace fs = std::filesystem;

// What a run's name may be: a configuration, the folder of a run, or a file of a page's data.
struct ReportOptions {
  std::vector<std::string> runs, set;
  std::string out, page, device = "auto", memory_budget;
  int port = 0;
  bool serves = false, draws = true;
};

fs::path folder_of(const ReportOptions &o, const std::string &run, bool draw) {
  if (!run.ends_with(".toml") || is_study(run))
    return run;
  RunOptions options;
  options.config = run, options.set = o.set, options.out = o.out, options.device = o.device;
  options.memory_budget = o.memory_budget;
  Run made = options.run();
  const fs::path folder = made.out;
  if (draw) {
    made.writes = false, made.stage = "report";
    Pipeline(std::move(made)).run("report");
  }
  return folder;
}

} // namespace

void add_report_commands(CLI::App &app, Action &action) {
  auto o = std::make_shared<ReportOptions>();
  auto *command = app.add_subcommand("report", "draw charts as PNG, and make one page of HTML of one or several runs");
  command->add_option("RUN", o->runs, "a configuration, the folder of a run, or a record of a page")->required();
  command->add_option("--set", o->set, "override a key of a configuration (repeatable)")
      ->expected(1)
      ->allow_extra_args(false)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  command->add_option("--out", o->out, "folder of a configuration's run (default runs/out/NAME)");
  command->add_option("--page", o->page, "the page (default RUN/report/page.html, of several runs/out/page.html)");
  command->add_option("--device", o->device, "auto, cpu, cuda or cuda:N");
  command->add_option("--memory-budget", o->memory_budget, "refuse a plan above this, e.g. 2GiB");
  auto *serve = command->add_option("--serve", o->port, "serve the page on 127.0.0.1, anew whenever a run goes on")
                    ->expected(0, 1)
                    ->check(CLI::Range(0, 65535));
  command->callback([&action, o, serve] {
    o->serves = serve->count() > 0;
    action = [o] {
      std::vector<fs::path> runs;
      for (const std::string &run : o->runs)
        runs.push_back(folder_of(*o, run, !o->serves));
      if (o->serves) {
        serve_page(runs, o->port,
                   [](int port) { say(fmt::format("report: http://127.0.0.1:{}/ until Ctrl-C\n", port)); });
        return;
      }
      fs::path page = o->page;
      if (page.empty())
        page = runs.size() == 1 && fs::is_directory(runs[0])
                   ? runs[0] / "report" / "page.html"
                   : fs::path("runs/out") / (runs.size() == 1 ? runs[0].stem().string() + ".html" : "page.html");
      write_page(runs, page);
      say(fmt::format("report: {}\n", page.string()));
    };
  });

  auto run = std::make_shared<std::string>();
  auto once = std::make_shared<bool>(false);
  auto *watch = app.add_subcommand("watch", "the curves of a run while it trains, in the terminal");
  watch->add_option("RUN", *run, "the folder of a run, e.g. runs/out/demo")->required();
  watch->add_flag("--once", *once, "draw what there is, and end");
  watch->callback([&action, run, once] { action = [run, once] { watch_run(*run, *once); }; });
}

} // namespace theta
