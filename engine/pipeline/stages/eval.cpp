// The stage that judges.
#include "data/atomic_file.h"
#include "data/hash.h"
#include "data/json.h"
#include "data/mapped_file.h"
#include "engine/tasks/eval_file.h"
#include "kernels/device/trace.h"
#include "measured.h"
#include "pipeline.h"
#include "shown.h"
#include <fmt/core.h>

namespace theta {

namespace {

namespace fs = std::filesystem;

// A family's members beside one another.
void tell_family(Pipeline &pipeline) {
  std::string table = fmt::format("{:<20} {:>5}  {:>15}  {:>15}  {:>17}  {}\n", "architecture", "n", "accuracy %",
                                  "held out %", "memorised (95 %)", "verdict");
  Json all = Json::array();
  for (const auto &member : pipeline.members()) {
    GroupReport generated, held_out; // the latter of those that have what was asked for, where something was
    for (const GroupReport &report : read_eval(member->eval_path()))
      if (report.role == "generated")
        generated = report;
      else if (report.role == "held_out" || report.name == "asked")
        held_out = report;
    const Summary made = summarise(generated.of("accuracy")), there = summarise(held_out.of("accuracy"));
    const Estimate memorised = generated.figure("memorised");
    table += fmt::format("{:<20} {:>5}  {:>7.2f} ± {:<5.2f}  {:>7.2f} ± {:<5.2f}  {:>5.2f} ({:.2f}-{:.2f})  {}{}\n",
                         member->name(), generated.networks, 100 * made.mean, 100 * made.std, 100 * there.mean,
                         100 * there.std, memorised.value, memorised.low, memorised.high, generated.verdict,
                         member->is_seen() ? "" : ", an architecture that it has not seen");
    all.push_back({{"architecture", member->name()},
                   {"seen", member->is_seen()},
                   {"networks", generated.networks},
                   {"accuracy", {{"mean", made.mean}, {"std", made.std}}},
                   {held_out.role, {{"mean", there.mean}, {"std", there.std}}},
                   {"memorised", {{"value", memorised.value}, {"low", memorised.low}, {"high", memorised.high}}},
                   {"verdict", generated.verdict}});
  }
  write_file(pipeline.order().out / "family.json", Json{{"members", all}}.dump(1) + "\n");
  pipeline.journal().result(table);
}

class EvalStage : public Stage {
public:
  const char *name() const override { return "eval"; }
  const char *what() const override { return "how good and how new the generated networks are, beside all baselines"; }
  bool needs_task() const override { return true; }
  std::string key(Member &m) const override {
    std::string others;
    const auto add = [&](const fs::path &zoo) { others += hash_of(MappedFile(zoo / "index.json").bytes()); };
    for (const std::string &group : m.config().eval.groups)
      add(group.substr(group.find('=') + 1));
    if (!m.config().eval.twin.empty())
      add(m.config().eval.twin);
    return hash_of("eval 4\n" + m.key("sample") + eval_text(m.config()) + others);
  }
  std::vector<MemoryPlan> plans(const PlanWork &w) const override {
    if (!w.source.task || w.which == StagesOf::generator)
      return {};
    return w.source.task->plans({w.config.eval, w.config.seed, *w.source.facts.shape, w.data, w.source.training,
                                 w.source.held_out, w.backend, w.budget});
  }
  void run(Member &m) const override {
    const Span span("eval");
    const NetworkShape &shape = m.shape("eval");
    const std::string key = this->key(m);
    if (eval_key_of(m.eval_path()) == key) {
      m.journal().line("eval: done before, skipped");
      return m.journal().result(m.task()->table(read_eval(m.eval_path())));
    }
    m.check_zoo("eval"), m.check_samples("eval");
    const ZooReader zoo(m.zoo_path());
    const Split split = split_of(zoo, m.config().fit);
    std::optional<ZooReader> samples;
    if (m.config().eval.groups.empty() || fs::exists(m.samples_path() / "index.json"))
      samples.emplace(m.samples_path());
    Generator::Rebuild rebuild;
    if (fs::exists(m.generator_path()) && !m.config().fit.about_line) // which has directions of the rest
      rebuild = m.config().generators.chosen().rebuild(m.generator_path(), zoo, split.training);
    std::optional<ZooReader> shown, trained;
    std::optional<Looking> looking;
    if (m.config().fit.shown > 0)
      looking.emplace(m), shown.emplace(m.shown_path()), trained.emplace(m.shown_path() / trained_on_shown);
    const Measured measured(m, "eval");
    const auto reports = m.task()->judge({m.config().eval, m.config().seed, shape, m.device(), m.budget(), m.data(),
                                          zoo, split.training, split.held_out, samples ? &*samples : nullptr, m.out(),
                                          shown ? &*shown : nullptr, trained ? &*trained : nullptr,
                                          [&](std::size_t row, float *theta) { looking->at_row(row, theta); },
                                          m.config().fit.without, std::move(rebuild)},
                                         m.journal());
    write_eval(m.eval_path(), reports, key);
    m.journal().result(m.task()->table(reports));
  }
  void run_all(Pipeline &pipeline) const override {
    Stage::run_all(pipeline);
    if (pipeline.is_family())
      tell_family(pipeline);
  }
};

} // namespace

std::unique_ptr<const Stage> make_eval_stage() { return std::make_unique<EvalStage>(); }

} // namespace theta
