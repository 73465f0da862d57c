// The subspace generator: its settings, and what its room does with them.
#include "engine/generators/flow/sampling.h"
#include "fit.h"
#include "sample.h"

namespace theta {

namespace {

class SubspaceGenerator : public GeneratorOf<SubspaceGenerator> {
public:
  SubspaceGenerator() { config_.flow.recipe.batch = 64; }
  const char *kind() const override { return "subspace"; }
  void describe_fit(Keys &keys) override {
    keys.section("fit.subspace");
    describe(keys, config_);
  }
  void describe_sample(Keys &keys) override { sampling_.describe(keys); }

  void check() const override {
    theta::check(config_.flow, "fit.subspace");
    sampling_.check(config_.flow, "fit.subspace");
  }

  std::vector<std::string> savings() const override {
    if (config_.flow.plain)
      return {}; // what would save is refused
    return savings_of(config_.flow, config_.flow.arithmetic, "fit.subspace");
  }

  std::size_t trajectory() const override { return sampling_.trajectory(); }
  bool can_be_guided() const override { return true; }

  std::vector<std::string> conditions() const override { return config_.flow.conditions; }
  bool hears_nothing() const override { return config_.flow.drop == 1; }
  std::vector<std::string> told() const override { return sampling_.told(config_.flow); }

  std::vector<MemoryPlan> plans(const GeneratorTask &task) const override {
    const SubspaceFit fit(config_, task.networks, task.training, task.seed, task.backend);
    const PrincipalComponents components(task.training, task.networks.parameters(), config_.directions);
    const SubspaceSampler sampler(config_, components.directions(), task.networks.parameters(),
                                  sampling_.options(task));
    std::vector<MemoryPlan> all;
    for (const auto *plan : fit.plans())
      all.push_back(*plan);
    for (const auto *plan : sampler.plans())
      all.push_back(*plan);
    return all;
  }

  void fit(const GeneratorTask &task, const FitWork &w) const override {
    SubspaceFit(config_, task.networks, task.training, task.seed, task.backend).run(w);
  }

  std::vector<Tellable> tellable(const std::filesystem::path &file) const override {
    return tellable_of(load_subspace(file).flow);
  }

  Rebuild rebuild(const std::filesystem::path &file, const ZooReader &zoo,
                  const std::vector<std::size_t> &training) const override {
    std::vector<float> first(zoo.parameters());
    zoo.theta(training.at(0), first.data());
    return projection(file, network_facts(zoo.format(), file.string()), std::move(first));
  }

  Sampled sample(const GeneratorTask &task, const SampleWork &w) const override {
    const Subspace generator = load_subspace(w.file);
    const auto count = std::size_t(task.samples);
    PromptTable table = sampling_.prompts(generator.config.flow, w.zoo, w.held_out, count);
    warn_of_unseen(table, generator.flow, w);
    SubspaceSampler(generator.config, int(generator.scale.size()), generator.networks.parameters,
                    sampling_.options(task))
        .run(w.device, generator, w.file, count, table.told, w.emit, w.watched, w.watch, w.guide);
    return {generator.networks, std::move(table), true};
  }

private:
  SubspaceConfig config_;
  FlowSampling sampling_;
};

} // namespace

std::unique_ptr<Generator> make_subspace() { return std::make_unique<SubspaceGenerator>(); }

} // namespace theta
