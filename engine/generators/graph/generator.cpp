// The graph generator: its settings, and what its room does with them.
#include "engine/generators/flow/sampling.h"
#include "graph.h"

namespace theta {

namespace {

class GraphGenerator : public GeneratorOf<GraphGenerator> {
public:
  const char *kind() const override { return "weight graph"; }
  void describe_fit(Keys &keys) override {
    keys.section(graph_table);
    describe(keys, config_);
  }
  void describe_sample(Keys &keys) override { sampling_.describe(keys); }

  void check() const override {
    theta::check(config_.flow, graph_table);
    sampling_.check(config_.flow, graph_table);
  }

  std::vector<std::string> savings() const override {
    return savings_of(config_.flow, config_.flow.arithmetic, graph_table);
  }
  bool learns_families() const override { return true; }
  std::size_t trajectory() const override { return sampling_.trajectory(); }
  bool can_be_guided() const override { return true; }
  std::vector<std::string> conditions() const override { return config_.flow.conditions; }
  bool hears_nothing() const override { return config_.flow.drop == 1; }
  std::vector<std::string> told() const override { return sampling_.told(config_.flow); }

  std::vector<MemoryPlan> plans(const GeneratorTask &task) const override {
    auto fit = fit_of(task);
    const auto sampler = sampler_of(shapes_of(seen(task).first, "fit"), task, config_, sampling_.options(task));
    if (config_.flow.probe_every > 0)
      fit->lives_beside(sampler->plan());
    std::vector<MemoryPlan> all;
    for (const auto *plan : fit->plans())
      all.push_back(*plan);
    all.push_back(sampler->plan());
    return all;
  }

  void fit(const GeneratorTask &task, const FitWork &w) const override {
    std::vector<FlowRows> rows;
    std::vector<ZooFormat> formats;
    for (const ZooRows &of : w.zoos()) {
      rows.push_back({of.zoo, of.training});
      formats.push_back(of.zoo.format());
    }
    const auto shapes = shapes_of(seen(task).first, "fit");
    const auto of = [&](const Learned &learned) {
      return GraphDiffusion{config_, formats, scales_of(shapes, learned), learned.ranges, learned.weights};
    };
    // A few samples of the generator of the moment, and what they are worth.
    const auto probe = [&](const Learned &learned) {
      const auto count = std::size_t(std::min(task.samples, task.sample_batch));
      std::vector<float> samples;
      SolverOptions options = sampling_.options(task);
      options.guided = false;
      sampler_of(shapes, task, config_, options)
          ->run(w.device, flow_of(of(learned), task.networks), count,
                sampling_.prompts(config_.flow, w.zoo, w.held_out, count).told,
                [&](std::size_t, std::span<const float> theta) {
                  samples.insert(samples.end(), theta.begin(), theta.end());
                });
      return w.worth(samples, count);
    };
    save_graph(w.file, of(fit_of(task)->run(w.device, rows, w.state, w.key, w.journal, probe, w.effect)),
               {w.key, w.settings});
  }

  std::vector<Tellable> tellable(const std::filesystem::path &file) const override {
    const GraphDiffusion g = load_graph(file);
    return tellable_of({g.config.flow, {}, {}, {}, g.ranges, {}});
  }

  Sampled sample(const GeneratorTask &task, const SampleWork &w) const override {
    const GraphDiffusion g = load_graph(w.file);
    const std::size_t count = std::size_t(task.samples);
    PromptTable table = sampling_.prompts(g.config.flow, w.zoo, w.held_out, count);
    const TrainedFlow flow = flow_of(g, task.networks);
    warn_of_unseen(table, flow, w);
    std::vector<NetworkFacts> learned;
    for (const ZooFormat &format : g.networks)
      learned.push_back(network_facts(format, w.file.string()));
    sampler_of(shapes_of(learned, w.file.string()), task, g.config, sampling_.options(task))
        ->run(
            w.device, flow, count, table.told,
            [&](std::size_t i, std::span<const float> theta) { w.emit(i, 0, theta); }, w.watched,
            [&](std::size_t i, std::span<const float> theta) { w.watch(i, 0, theta); }, w.guide);
    return {flow.networks, std::move(table), true};
  }

private:
  // The architectures that it is to learn, and how many networks of each.
  static std::pair<std::vector<NetworkFacts>, std::vector<std::size_t>> seen(const GeneratorTask &task) {
    if (task.family.empty())
      return {{task.networks}, {task.training}};
    std::pair<std::vector<NetworkFacts>, std::vector<std::size_t>> all;
    for (const FamilyMember &member : task.family)
      all.first.push_back(member.networks), all.second.push_back(member.training);
    return all;
  }
  std::unique_ptr<FlowFit> fit_of(const GeneratorTask &task) const {
    const auto [networks, rows] = seen(task);
    GraphTask of = graph_task(config_, networks, rows);
    return std::make_unique<FlowFit>(config_.flow, std::move(of.networks), std::move(of.model), task.seed, task.backend,
                                     task.stream, graph_table);
  }
  static std::unique_ptr<FlowSampler> sampler_of(const std::vector<NetworkShape> &learned, const GeneratorTask &task,
                                                 const GraphConfig &config, const SolverOptions &options) {
    GraphTask of = graph_task(config, learned, task.networks);
    return std::make_unique<FlowSampler>(config.flow, std::move(of.networks[0].coder), std::move(of.model), options,
                                         task.networks.shape);
  }
  // It, for networks of one architecture.
  static TrainedFlow flow_of(const GraphDiffusion &g, const NetworkFacts &wanted) {
    std::vector<NetworkFacts> learned;
    for (const ZooFormat &format : g.networks)
      learned.push_back(network_facts(format, "generator"));
    const WeightGraph graph(shapes_of({wanted}, "sample")[0], graph_slots(shapes_of(learned, "generator")));
    const auto [mean, std] = scale_for(g.scales, graph);
    return {g.config.flow, {wanted.layout, wanted.parameters(), Dtype::f32, {}, "{}"}, mean, std, g.ranges, g.weights};
  }

  GraphConfig config_;
  FlowSampling sampling_;
};

} // namespace

std::unique_ptr<Generator> make_graph() { return std::make_unique<GraphGenerator>(); }

} // namespace theta
