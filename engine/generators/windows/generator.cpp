// The generator of windows: its settings, and what its room does with them.
#include "engine/generators/flow/sampling.h"
#include "fit.h"
#include "sample.h"

namespace theta {

namespace {

class WindowsGenerator : public GeneratorOf<WindowsGenerator> {
public:
  WindowsGenerator() { config_.flow.recipe.batch = 8, config_.flow.recipe.lr = 1e-3; }
  const char *kind() const override { return "windows"; }
  void describe_fit(Keys &keys) override {
    keys.section("fit.windows");
    describe(keys, config_);
  }
  void describe_sample(Keys &keys) override { sampling_.describe(keys); }

  void check() const override {
    theta::check(config_);
    sampling_.check(config_.flow, "fit.windows");
  }

  std::vector<std::string> savings() const override {
    return savings_of(config_.flow, config_.flow.arithmetic, "fit.windows", false);
  }

  std::vector<MemoryPlan> plans(const GeneratorTask &task) const override {
    const std::size_t v = task.networks.parameters();
    return {WindowsFit(config_, v, task.training, task.seed).plan(),
            WindowsSampler(config_, v, sampling_.options(task)).plan()};
  }

  void fit(const GeneratorTask &task, const FitWork &w) const override {
    WindowsFit(config_, task.networks.parameters(), task.training, task.seed).run(w);
  }

  Sampled sample(const GeneratorTask &task, const SampleWork &w) const override {
    const Windows generator = load_windows(w.file);
    WindowsSampler(generator.config, generator.networks.parameters, sampling_.options(task))
        .run(w.device, generator, w.file, std::size_t(task.samples), w.emit);
    return {generator.networks};
  }

private:
  WindowsConfig config_;
  FlowSampling sampling_;
};

} // namespace

std::unique_ptr<Generator> make_windows() { return std::make_unique<WindowsGenerator>(); }

} // namespace theta
