// The stage that trains the zoo.
#include "data/atomic_file.h"
#include "data/hash.h"
#include "data/json.h"
#include "data/mapped_file.h"
#include "kernels/device/trace.h"
#include "measured.h"
#include "pipeline.h"

namespace theta {

namespace {

class ZooStage : public Stage {
public:
  const char *name() const override { return "zoo"; }
  std::string key(Member &m) const override {
    if (!m.config().zoo.from.empty())
      return hash_of("zoo from\n" + hash_of(MappedFile(m.zoo_path() / "index.json").bytes()));
    return hash_of("zoo 4\n" + zoo_text(m.config()) + m.data().fingerprint +
                   (m.device().backend == Backend::cpu ? "cpu" : "cuda"));
  }
  std::vector<MemoryPlan> plans(const PlanWork &w) const override {
    std::vector<MemoryPlan> all;
    if (!w.config.zoo.from.empty() || w.which == StagesOf::generator)
      return all;
    const ZooTrainer trainer(task_of(w.config), w.data, w.backend, w.budget);
    all = trainer.plans_before();
    all.push_back(trainer.plan());
    return all;
  }
  void run(Member &m) const override {
    const Span span("zoo");
    if (!m.config().zoo.from.empty())
      return m.journal().line("zoo: " + m.zoo_path().string() + " is there, nothing to train");
    const std::string key = this->key(m);
    if (const auto part = read_part(m.zoo_path()); part && folder_of(*part) != folder_of(m.part()))
      throw InputError("zoo: ", m.zoo_path().string(), ": found part ", part->number, " of ", part->of,
                       " of a zoo, expected a folder of its own for ",
                       m.part().is_whole() ? "a whole one" : "part " + folder_of(m.part()));
    if (zoo_key_of(m.zoo_path()) == key) {
      std::filesystem::remove(m.zoo_path() / ".state.safetensors");
      return m.journal().line("zoo: done before, skipped");
    }
    const Dataset &data = m.data();
    ZooTask task = task_of(m.config());
    task.directory = m.zoo_path(), task.facts = m.facts_of(key, "trained"), task.key = key;
    task.part = m.part();
    ZooTrainer trainer(std::move(task), sizes_of(data), m.device().backend, m.budget());
    const Measured measured(m, "zoo");
    trainer.run(m.device(), data, m.journal());
  }
  void run_all(Pipeline &pipeline) const override {
    Stage::run_all(pipeline);
    if (!pipeline.is_family())
      return;
    Json index = Json::array();
    for (const auto &member : pipeline.members()) {
      const ZooReader zoo(member->zoo_path());
      index.push_back({{"folder", member->name()},
                       {"architecture", parse_json(architecture_of(member->config().network), "architecture")},
                       {"networks", zoo.rows()},
                       {"parameters", zoo.parameters()},
                       {"seen", member->is_seen()}});
    }
    write_file(pipeline.members()[0]->zoo_path().parent_path() / "family.json",
               Json{{"version", 1}, {"zoos", index}}.dump(1) + "\n");
  }
};

} // namespace

std::unique_ptr<const Stage> make_zoo_stage() { return std::make_unique<ZooStage>(); }

} // namespace theta
