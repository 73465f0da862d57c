#include "pipeline.h"
#include "data/atomic_file.h"
#include "data/json.h"
#include "engine/pipeline/pages/page_files.h"
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

std::vector<MemberConfig> members_of(const Config &c) {
  std::vector<MemberConfig> all;
  std::vector<NetworkShape> seen;
  const auto add = [&](const std::vector<int> &widths, bool is_seen) {
    MemberConfig member{name_of(widths), is_seen, c};
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
  for (MemberConfig &member : all) {
    if (!names.insert(member.name).second)
      throw InputError("network.widths: found ", member.name, " twice, expected each architecture once");
    member.config.family = seen;
  }
  return all;
}

std::vector<MemoryPlan> family_plans(const Config &c, Backend backend, Budget budget, StagesOf which) {
  std::vector<MemoryPlan> all;
  const auto add = [&](const MemberConfig &member, StagesOf stages) {
    const Source source = source_of(member.config, dataset_sizes(c.data.options()));
    for (auto &plan : plans_of(member.config, source, backend, budget, stages))
      all.push_back(std::move(plan));
  };
  const auto members = members_of(c);
  for (const MemberConfig &member : members)
    if (which != StagesOf::generator)
      add(member, StagesOf::networks);
  if (which != StagesOf::networks)
    add(members[0], StagesOf::generator);
  return all;
}

Pipeline::Pipeline(Run run) : run_(theta::is_family(run.config) ? checked_family(std::move(run)) : std::move(run)) {
  if (!theta::is_family(run_.config)) {
    members_.push_back(std::make_unique<Member>(run_));
    return;
  }
  journal_.emplace(locked(run_.writes, lock_, run_.out), Journal::Without::terminal);
  if (run_.writes)
    write_file(run_.out / "config.toml", to_toml(run_.config));
  for (const MemberConfig &member : members_of(run_.config)) {
    Run one = run_;
    one.config = member.config, one.out = run_.out / member.name;
    one.zoo = (run_.zoo.empty() ? run_.out / "zoo" : run_.zoo) / member.name;
    one.generator = run_.out / "generator.safetensors";
    members_.push_back(std::make_unique<Member>(std::move(one), member.name, member.seen));
  }
  for (const auto &member : members_)
    member->whole = {seen(), &run_.config};
}

std::vector<Member *> Pipeline::seen() const {
  std::vector<Member *> all;
  for (const auto &member : members_)
    if (member->is_seen())
      all.push_back(member.get());
  return all;
}

void Pipeline::all() {
  for (const auto &stage : stages()) {
    if (stage->needs_task() && !members_[0]->task())
      return journal().line("eval, report: left out, these networks cannot be run on " + run_.config.data.name);
    if (stage->is_wanted(run_.config))
      stage->run_all(*this);
  }
  write_page({run_.out}, run_.out / "report" / "page.html");
  journal().line("report: " + (run_.out / "report" / "page.html").string());
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

} // namespace theta
