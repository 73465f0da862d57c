// The weight transformer as a generator: its settings, and what its room does with them.
#include "engine/generators/generator.h"
#include "fit.h"
#include "sample.h"

namespace theta {

namespace {

class TransformerGenerator : public GeneratorOf<TransformerGenerator> {
public:
  const char *kind() const override { return "weight transformer"; }
  void describe_fit(Keys &keys) override {
    keys.section("fit.transformer");
    describe(keys, config_);
  }
  void describe_sample(Keys &keys) override {
    keys("ddim_eta", solver_.eta, Limits{0, 1});
    keys("solver", solver_.solver, solver_named);
    keys("solver_steps", solver_.steps, positive);
    keys("guidance", solver_.guidance, Limits{0, 100});
    keys("prompt", prompt_);
    keys("points", points_, positive);
  }

  void check() const override {
    theta::check(config_);
    for (const std::string &text : prompt_)
      prompt_of(text);
  }

  std::vector<std::string> savings() const override {
    std::vector<std::string> all;
    if (!config_.recompute)
      all.push_back("fit.transformer.recompute=true");
    if (config_.arithmetic != Arithmetic::bf16)
      all.push_back("fit.transformer.arithmetic=bf16");
    all.push_back(text("fit.transformer.accumulate=", 2 * config_.accumulate));
    return all;
  }

  std::vector<std::string> told() const override {
    std::vector<std::string> names;
    for (const std::string &text : prompt_)
      names.push_back(prompt_of(text).name);
    return names;
  }

  std::vector<MemoryPlan> plans(const GeneratorTask &task) const override {
    if (const int head = config_.width / config_.heads; task.backend == Backend::cuda && head > attention_most_head)
      throw InputError("fit.transformer.heads: found heads of ", head, " elements, expected at most ",
                       attention_most_head, " on cuda");
    TransformerFit fit(config_, task.networks, task.training, task.seed, task.backend, task.stream);
    const TransformerSampler sampler(config_, task.networks, options(task));
    if (config_.probe_every > 0)
      fit.lives_beside(sampler.plan());
    std::vector<MemoryPlan> all;
    for (const auto *plan : fit.plans())
      all.push_back(*plan);
    all.push_back(sampler.plan());
    return all;
  }

  void fit(const GeneratorTask &task, const FitWork &w) const override {
    TransformerFit fit(config_, task.networks, task.training, task.seed, task.backend, task.stream);
    // A few samples of the generator of the moment, and what they are worth.
    const auto probe = [&](const Transformer &now) {
      const auto count = std::size_t(std::min(task.samples, task.sample_batch));
      std::vector<float> samples;
      TransformerSampler(now.config, network_facts(now.networks, "probe"), options(task))
          .run(w.device, now, count, told(now.config, w.zoo, w.held_out, count).told,
               [&](std::size_t, std::span<const float> theta) {
                 samples.insert(samples.end(), theta.begin(), theta.end());
               });
      return w.worth(samples, count);
    };
    save_transformer(w.file, fit.run(w.device, w.zoo, w.training, w.state, w.key, w.journal, probe),
                     {w.key, w.settings});
  }

  std::vector<Tellable> tellable(const std::filesystem::path &file) const override {
    return tellable_of(load_transformer(file));
  }

  Sampled sample(const GeneratorTask &task, const SampleWork &w) const override {
    const Transformer generator = load_transformer(w.file);
    const std::size_t count = std::size_t(task.samples);
    PromptTable table = told(generator.config, w.zoo, w.held_out, count);
    warn_of_unseen(table, tellable_of(generator), w);
    TransformerSampler(generator.config, network_facts(generator.networks, w.file.string()), options(task))
        .run(w.device, generator, count, table.told,
             [&](std::size_t i, std::span<const float> theta) { w.emit(i, 0, theta); });
    return {generator.networks, std::move(table), true};
  }

private:
  static std::vector<Tellable> tellable_of(const Transformer &t) {
    std::vector<Tellable> all;
    const Conditions conditions(t.config.conditions);
    for (std::size_t k = 0; k < conditions.size(); ++k)
      all.push_back({conditions.all()[k].name, conditions.all()[k].classes, t.ranges[k].low, t.ranges[k].high});
    return all;
  }
  static void warn_of_unseen(const PromptTable &table, const std::vector<Tellable> &known, const SampleWork &w) {
    for (std::size_t k = 0; k < known.size(); ++k) {
      float low = known[k].high, high = known[k].low; // of what is told
      for (std::size_t i = k; i < table.told.told.size(); i += known.size())
        if (const float value = table.told.told[i]; value == value)
          low = std::min(low, value), high = std::max(high, value);
      const auto [name, classes, least, most] = known[k];
      if (classes > 0 ? (low < 0 || high >= float(classes)) : (low < least || high > most))
        w.warn(text("sample: ", name, " is told from ", low, " to ", high, ", the generator has seen ",
                    classes > 0 ? 0 : least, " to ", classes > 0 ? float(classes - 1) : most,
                    ": what lies beyond is a guess"));
    }
  }
  SolverOptions options(const GeneratorTask &task) const {
    SolverOptions options = solver_;
    options.batch = task.sample_batch, options.seed = task.seed;
    return options;
  }
  PromptTable told(const TransformerConfig &config, const ZooReader &zoo, const std::vector<std::size_t> &held_out,
                   std::size_t samples) const {
    return prompt_table(prompt_, points_, Conditions(config.conditions), config.start, zoo, held_out, samples);
  }

  TransformerConfig config_;
  SolverOptions solver_;
  std::vector<std::string> prompt_; // prompts.h
  int points_ = 20;                 // of a sweep
};

} // namespace

std::unique_ptr<Generator> make_transformer() { return std::make_unique<TransformerGenerator>(); }

} // namespace theta
