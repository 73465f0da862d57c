#include "family.h"
#include "data/atomic_file.h"
#include "data/hash.h"
#include "data/json.h"
#include "engine/generators/generator_file.h"
#include "eval_file.h"
#include "kernels/device/trace.h"
#include "page_files.h"
#include "source.h"
#include <fmt/core.h>
#include <set>

namespace theta {

namespace fs = std::filesystem;

namespace {

std::string name_of(const std::vector<int> &widths) {
  std::string name;
  for (const int width : widths)
    name += text(name.empty() ? "" : "-", width);
  return name;
}

// Checked before the run's folder is touched.
Run checked_family(Run run) {
  const Config &c = run.config;
  if (!c.zoo.from.empty())
    throw InputError("zoo.from: found ", c.zoo.from, ", expected nothing for a run of several architectures");
  if (!c.generators.chosen().learns_families())
    throw InputError("network.widths: found several architectures, expected one: ", c.generators.name(),
                     " cannot learn more (`graph` can)");
  for (const auto &plan : family_plans(c, run.device.backend, run.memory_budget))
    if (run.stage.empty() || plan.stage() == run.stage)
      check_budget(plan, run.device.backend, run.memory_budget);
  return run;
}

} // namespace

bool is_family(const Config &c) { return !c.others.empty() || !c.unseen.empty(); }

std::vector<Member> members_of(const Config &c) {
  std::vector<Member> all;
  std::vector<NetworkShape> seen;
  const auto add = [&](const std::vector<int> &widths, bool is_seen) {
    Member member{name_of(widths), is_seen, c};
    member.config.network.widths = widths, member.config.others.clear(), member.config.unseen.clear();
    member.config.name = member.name;
    layout_of(member.config.network);
    if (is_seen)
      seen.push_back(member.config.network);
    all.push_back(std::move(member));
  };
  add(c.network.widths, true);
  for (const auto &widths : c.others)
    add(widths, true);
  for (const auto &widths : c.unseen)
    add(widths, false);
  std::set<std::string> names;
  for (Member &member : all) {
    if (!names.insert(member.name).second)
      throw InputError("network.widths: found ", member.name, " twice, expected each architecture once");
    member.config.family = seen;
  }
  return all;
}

std::vector<MemoryPlan> family_plans(const Config &c, Backend backend, Budget budget, StagesOf which) {
  std::vector<MemoryPlan> all;
  const auto add = [&](const Member &member, StagesOf stages) {
    const Source source = source_of(member.config, dataset_sizes(c.data.options()));
    for (auto &plan : plans_of(member.config, source, backend, budget, stages))
      all.push_back(std::move(plan));
  };
  const auto members = members_of(c);
  for (const Member &member : members)
    if (which != StagesOf::generator)
      add(member, StagesOf::networks);
  if (which != StagesOf::networks)
    add(members[0], StagesOf::generator);
  return all;
}

Family::Family(Run run)
    : run_(checked_family(std::move(run))), members_(members_of(run_.config)),
      journal_((run_.writes ? (lock_.emplace(run_.out), run_.out) : fs::path()), Journal::Without::terminal) {
  if (run_.writes)
    write_file(run_.out / "config.toml", to_toml(run_.config));
  for (const Member &member : members_) {
    Run one = run_;
    one.config = member.config, one.out = run_.out / member.name, one.zoo = run_.out / "zoo" / member.name;
    one.generator = generator_path();
    stages_.push_back(std::make_unique<Stages>(std::move(one)));
  }
}

void Family::each(void (Stages::*stage)()) {
  for (std::size_t i = 0; i < members_.size(); ++i) {
    journal_.line(members_[i].name + (members_[i].seen ? ":" : ": (unseen by the generator)"));
    ((*stages_[i]).*stage)();
  }
}

void Family::zoo() {
  each(&Stages::zoo);
  Json index = Json::array();
  for (const Member &member : members_) {
    const ZooReader zoo(run_.out / "zoo" / member.name);
    index.push_back({{"folder", member.name},
                     {"architecture", parse_json(architecture_of(member.config.network), "architecture")},
                     {"networks", zoo.rows()},
                     {"parameters", zoo.parameters()},
                     {"seen", member.seen}});
  }
  write_file(run_.out / "zoo" / "family.json", Json{{"version", 1}, {"zoos", index}}.dump(1) + "\n");
}

std::string Family::fit_key() {
  std::string zoos;
  for (std::size_t i = 0; i < members_.size(); ++i)
    if (members_[i].seen)
      zoos += stages_[i]->zoo_key();
  return hash_of("fit 2\n" + zoos + fit_text(run_.config));
}

void Family::share_generator() {
  const std::string key = fit_key();
  for (const auto &stages : stages_)
    stages->use_generator(key);
}

void Family::fit() {
  const Span span("fit");
  const std::string key = fit_key();
  const fs::path state = run_.out / ".generator.state.safetensors";
  if (generator_key(generator_path()) == key) {
    fs::remove(state);
    return journal_.line("fit: done before, skipped");
  }
  std::vector<std::unique_ptr<Stages::TrainingZoo>> zoos;
  std::size_t networks = 0;
  for (std::size_t i = 0; i < members_.size(); ++i)
    if (members_[i].seen) {
      zoos.push_back(std::make_unique<Stages::TrainingZoo>(stages_[i]->training_zoo("fit")));
      networks += zoos.back()->split.training.size();
    }
  GeneratorTask task = stages_[0]->task(zoos[0]->zoo, zoos[0]->split.training.size());
  for (std::size_t i = 0; i < zoos.size(); ++i)
    task.family[i].training = zoos[i]->split.training.size();
  FitWork work{run_.device,
               zoos[0]->zoo,
               zoos[0]->split.training,
               zoos[0]->split.held_out,
               state,
               generator_path(),
               key,
               zoo_text(run_.config) + fit_text(run_.config),
               journal_,
               [&](const std::vector<float> &theta, std::size_t n) { return stages_[0]->worth(theta, n); }};
  for (std::size_t i = 1; i < zoos.size(); ++i)
    work.more.push_back({zoos[i]->zoo, zoos[i]->split.training, zoos[i]->split.held_out});
  run_.config.generators.chosen().fit(task, work);
  fs::remove(state);
  journal_.line(fmt::format("fit: learned {} networks of {} architectures, in {}", networks, zoos.size(),
                            generator_path().string()));
}

void Family::sample() {
  share_generator();
  each(&Stages::sample);
}

void Family::eval() {
  share_generator();
  each(&Stages::eval);
  std::string table = fmt::format("{:<20} {:>5}  {:>15}  {:>15}  {:>17}  {}\n", "architecture", "n", "accuracy %",
                                  "held out %", "memorised (95 %)", "verdict");
  Json all = Json::array();
  for (std::size_t i = 0; i < members_.size(); ++i) {
    GroupReport generated, held_out;
    for (const GroupReport &report : read_eval(stages_[i]->eval_path()))
      if (report.role == "generated")
        generated = report;
      else if (report.role == "held_out")
        held_out = report;
    const Summary made = summarise(generated.of("accuracy")), there = summarise(held_out.of("accuracy"));
    const Estimate memorised = generated.figure("memorised");
    table += fmt::format("{:<20} {:>5}  {:>7.2f} ± {:<5.2f}  {:>7.2f} ± {:<5.2f}  {:>5.2f} ({:.2f}-{:.2f})  {}{}\n",
                         members_[i].name, generated.networks, 100 * made.mean, 100 * made.std, 100 * there.mean,
                         100 * there.std, memorised.value, memorised.low, memorised.high, generated.verdict,
                         members_[i].seen ? "" : ", an architecture that it has not seen");
    all.push_back({{"architecture", members_[i].name},
                   {"seen", members_[i].seen},
                   {"networks", generated.networks},
                   {"accuracy", {{"mean", made.mean}, {"std", made.std}}},
                   {"held_out", {{"mean", there.mean}, {"std", there.std}}},
                   {"memorised", {{"value", memorised.value}, {"low", memorised.low}, {"high", memorised.high}}},
                   {"verdict", generated.verdict}});
  }
  write_file(run_.out / "family.json", Json{{"members", all}}.dump(1) + "\n");
  journal_.result(table);
}

void Family::finetune() {
  if (run_.config.finetune.networks == 0)
    return;
  share_generator();
  each(&Stages::finetune);
}

void Family::report() { each(&Stages::report); }

void Family::all() {
  zoo();
  fit();
  sample();
  eval();
  finetune();
  report();
  write_page({run_.out}, run_.out / "report" / "page.html");
  journal_.line("report: " + (run_.out / "report" / "page.html").string());
}

std::vector<fs::path> members_in(const fs::path &run) {
  if (!fs::is_directory(run) || !fs::exists(run / "family.json"))
    return {run};
  const std::string where = (run / "family.json").string();
  const Json family = json_file(run / "family.json");
  std::vector<fs::path> all;
  for (const Json &member : field<Json>(family, "members", where))
    all.push_back(run / field<std::string>(member, "architecture", where));
  return all;
}

void run_stage(Run run, const StageOfAll &stage) {
  if (is_family(run.config)) {
    Family family(std::move(run));
    (family.*stage.family)();
  } else {
    Stages stages(std::move(run));
    (stages.*stage.one)();
  }
}

} // namespace theta
