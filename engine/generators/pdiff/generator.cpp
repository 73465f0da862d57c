// p-diff as a generator: its settings, and what its room does with them.
#include "engine/generators/generator.h"
#include "engine/generators/generator_file.h"
#include "fit.h"
#include "sample.h"

namespace theta {

namespace {

class PDiffGenerator : public GeneratorOf<PDiffGenerator> {
public:
  const char *kind() const override { return "p-diff"; }
  void describe_fit(Keys &keys) override { describe(keys, config_); }
  void describe_sample(Keys &keys) override {
    keys({"sampler", "ancestral (DDPM) or DDIM"}, sampler_, sampler_named);
    keys({"ddim_steps", "steps of DDIM"}, ddim_steps_, positive);
    keys({"ddim_eta", "noise of DDIM: 0 is deterministic"}, ddim_eta_, Limits{0, 1});
  }

  void check() const override {
    theta::check(config_);
    if (sampler_ == SolverKind::ddim && ddim_steps_ > config_.diffusion_steps)
      throw InputError("sample.ddim_steps: found ", ddim_steps_, ", expected at most fit.diffusion_steps, ",
                       config_.diffusion_steps);
  }

  std::vector<std::string> savings() const override {
    constexpr int tile = 16384;
    std::vector<std::string> all;
    if (!config_.compact)
      all.push_back("fit.compact=true");
    if (config_.tile == 0 || config_.tile > tile)
      all.push_back(text("fit.tile=", tile));
    if (config_.stream == Streaming::none)
      all.push_back("fit.stream=memory");
    if (config_.stream != Streaming::file)
      all.push_back("fit.stream=file");
    if (config_.streams() && config_.moments == MomentStorage::fp32)
      all.push_back("fit.moments=8bit");
    return all;
  }

  std::vector<MemoryPlan> plans(const GeneratorTask &task) const override {
    std::vector<MemoryPlan> all;
    const PDiffFit fit(config_, task.networks.parameters(), task.training, task.seed, task.backend);
    for (const auto *plan : fit.plans())
      all.push_back(*plan);
    all.push_back(PDiffSampler(config_, task.networks.parameters(), options(task), task.backend).plan());
    return all;
  }

  void fit(const GeneratorTask &task, const FitWork &w) const override {
    PDiffFit fit(config_, task.networks.parameters(), task.training, task.seed, task.backend);
    const PDiff made = fit.run(w.device, w.zoo, w.training, w.state, w.key, w.journal);
    save_pdiff(w.file, made, {w.key, w.settings});
    if (made.streamed)
      made.streamed->remove();
  }

  Sampled sample(const GeneratorTask &task, const SampleWork &w) const override {
    const PDiff generator = load_pdiff(w.file, config_);
    PDiffSampler(generator.config, generator.networks.parameters, options(task), task.backend)
        .run(
            w.device, generator, std::size_t(task.samples),
            [&](std::size_t i, std::span<const float> theta) { w.emit(i, 0, theta); }, w.file);
    return {generator.networks};
  }

private:
  SampleOptions options(const GeneratorTask &task) const {
    return {sampler_, ddim_steps_, ddim_eta_, task.sample_batch, task.seed};
  }

  PDiffConfig config_;
  SolverKind sampler_ = SolverKind::ddpm;
  int ddim_steps_ = 100;
  double ddim_eta_ = 0;
};

} // namespace

std::unique_ptr<Generator> make_pdiff() { return std::make_unique<PDiffGenerator>(); }

} // namespace theta
