// The weight transformer as a generator: its settings, and what its room does with them.
#include "engine/generators/flow/fit.h"
#include "engine/generators/flow/sampling.h"
#include "transformer.h"

namespace theta {

namespace {

class TransformerGenerator : public GeneratorOf<TransformerGenerator> {
public:
  const char *kind() const override { return "weight transformer"; }
  void describe_fit(Keys &keys) override {
    keys.section(transformer_table);
    describe_transformer(keys, config_);
  }
  void describe_sample(Keys &keys) override { sampling_.describe(keys); }

  void check() const override {
    theta::check(config_, transformer_table);
    sampling_.check(config_, transformer_table);
  }

  std::vector<std::string> savings() const override {
    return savings_of(config_, config_.arithmetic, transformer_table);
  }

  std::size_t trajectory() const override { return sampling_.trajectory(); }
  bool can_be_guided() const override { return true; }
  bool learns_categories() const override { return true; }

  std::vector<std::string> conditions() const override { return config_.conditions; }
  bool hears_nothing() const override { return config_.drop == 1; }
  std::vector<std::string> told() const override { return sampling_.told(config_); }

  std::vector<MemoryPlan> plans(const GeneratorTask &task) const override {
    if (const int head = config_.width / config_.heads; task.backend == Backend::cuda && head > attention_most_head)
      throw InputError("fit.transformer.heads: found heads of ", head, " elements, expected at most ",
                       attention_most_head, " on cuda");
    FlowFit fit(config_, task.networks, task.training, task.seed, task.backend, task.stream, transformer_table);
    const FlowSampler sampler(config_, task.networks, sampling_.options(task));
    if (config_.probe_every > 0)
      fit.lives_beside(sampler.plan());
    std::vector<MemoryPlan> all;
    for (const auto *plan : fit.plans())
      all.push_back(*plan);
    all.push_back(sampler.plan());
    return all;
  }

  void fit(const GeneratorTask &task, const FitWork &w) const override {
    FlowFit fit(config_, task.networks, task.training, task.seed, task.backend, task.stream, transformer_table);
    // A few samples of the generator of the moment, and what they are worth.
    const auto probe = [&](const Learned &learned) {
      const TrainedFlow now = trained_of(config_, w.zoo.format(), learned);
      const auto count = std::size_t(std::min(task.samples, task.sample_batch));
      std::vector<float> samples;
      SolverOptions options = sampling_.options(task);
      options.guided = false;
      FlowSampler(now.config, network_facts(now.networks, "probe"), options)
          .run(w.device, now, count, sampling_.prompts(now.config, w.zoo, w.held_out, count).told,
               [&](std::size_t, std::span<const float> theta) {
                 samples.insert(samples.end(), theta.begin(), theta.end());
               });
      return w.worth(samples, count);
    };
    const Learned learned = fit.run(w.device, {{w.zoo, w.training}}, w.state, w.key, w.journal, probe, w.effect);
    save_transformer(w.file, trained_of(config_, w.zoo.format(), learned), {w.key, w.settings});
  }

  std::vector<Tellable> tellable(const std::filesystem::path &file) const override {
    return tellable_of(load_transformer(file));
  }

  Sampled sample(const GeneratorTask &task, const SampleWork &w) const override {
    const TrainedFlow generator = load_transformer(w.file);
    const std::size_t count = std::size_t(task.samples);
    PromptTable table = sampling_.prompts(generator.config, w.zoo, w.held_out, count);
    warn_of_unseen(table, generator, w);
    FlowSampler(generator.config, network_facts(generator.networks, w.file.string()), sampling_.options(task))
        .run(
            w.device, generator, count, table.told,
            [&](std::size_t i, std::span<const float> theta) { w.emit(i, 0, theta); }, w.watched,
            [&](std::size_t i, std::span<const float> theta) { w.watch(i, 0, theta); }, w.guide);
    return {generator.networks, std::move(table), true};
  }

private:
  FlowConfig config_;
  FlowSampling sampling_;
};

} // namespace

std::unique_ptr<Generator> make_transformer() { return std::make_unique<TransformerGenerator>(); }

} // namespace theta
