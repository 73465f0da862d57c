// The stage that trains on from generated networks.
#include "data/hash.h"
#include "engine/analysis/statistics.h"
#include "finetune_report.h"
#include "kernels/device/trace.h"
#include "member.h"

namespace theta {

namespace {

class FinetuneStage : public Stage {
public:
  const char *name() const override { return "finetune"; }
  const char *what() const override { return "what generated networks are worth as a start of training"; }
  bool needs_task() const override { return true; }
  bool is_wanted(const Config &c) const override { return c.of<FinetuneConfig>().networks > 0; }
  std::unique_ptr<StageSettings> settings() const override { return std::make_unique<FinetuneConfig>(); }
  std::string key(Member &m) const override {
    return hash_of("finetune 1\n" + m.key("sample") + text_of_sections(m.config(), {"finetune"}));
  }
  std::vector<MemoryPlan> plans(const PlanWork &w) const override {
    std::vector<MemoryPlan> all;
    if (is_wanted(w.config) && w.source.task && w.source.task->scores() && w.which != StagesOf::generator)
      for (const bool from_generated : {true, false})
        all.push_back(ZooTrainer(finetune_task(w.config, from_generated), w.data, w.backend, w.budget).plan());
    return all;
  }
  void run(Member &m) const override {
    const auto &c = m.config().of<FinetuneConfig>();
    if (c.networks == 0)
      return;
    const Span span("finetune");
    m.check_scores("finetune");
    const std::string key = this->key(m);
    const auto file = m.out() / "finetune.json";
    if (finetune_key_of(file) == key)
      return m.journal().line("finetune: done before: " + text_of(read_finetune(file)));
    m.check_zoo("finetune"), m.check_samples("finetune");
    const ZooReader zoo(m.zoo_path()), samples(m.samples_path());
    if (samples.rows() < std::size_t(c.networks))
      throw InputError("finetune.networks: found ", c.networks, ", expected at most ", samples.rows(), ", the samples");
    std::vector<float> held_out;
    const auto is_held_out = zoo.integers("held_out");
    const auto accuracy = zoo.floats("test_accuracy");
    for (std::size_t row = 0; row < zoo.rows(); ++row)
      if (is_held_out[row])
        held_out.push_back(accuracy[row]);
    FinetuneReport report;
    report.held_out = summarise(held_out).mean, report.target = report.held_out - c.less;
    for (const bool from_generated : {true, false}) {
      ZooTask task = finetune_task(m.config(), from_generated);
      task.directory = m.out() / "finetune" / (from_generated ? "generated" : "scratch");
      task.key = hash_of(key + (from_generated ? "generated" : "scratch"));
      task.facts = m.facts_of(task.key, "finetuned");
      task.network = m.shape("finetune"); // on its trunk
      if (from_generated)
        task.start = m.samples_path();
      if (zoo_key_of(task.directory) != task.key)
        ZooTrainer(task, sizes_of(m.data()), m.device().backend, m.budget()).run(m.device(), m.data(), m.journal());
      auto at_once = samples.floats("test_accuracy");
      at_once.resize(std::size_t(c.networks));
      (from_generated ? report.generated : report.scratch) =
          curve_of(ZooReader(task.directory), from_generated ? at_once : std::vector<float>{});
    }
    write_finetune(file, report, key);
    m.journal().line("finetune: " + text_of(report));
  }
};

} // namespace

std::unique_ptr<const Stage> make_finetune_stage() { return std::make_unique<FinetuneStage>(); }

} // namespace theta
