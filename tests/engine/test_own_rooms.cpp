// A generator and a kind of networks that theta does not have, each added by one line, go through everything that its
// own go through.
#include "data/json.h"
#include "data/safetensors.h"
#include "data/zoo_reader.h"
#include "engine/generators/generator.h"
#include "engine/generators/generator_file.h"
#include "engine/networks/kind.h"
#include "engine/pipeline/configuration/source.h"
#include "engine/pipeline/stages/pipeline.h"
#include "engine/tasks/eval_file.h"
#include "small_data.h"
#include "tests/check.h"
#include "tests/idx_files.h"

namespace theta {

namespace {

// A normal distribution of every coordinate.
class GaussianGenerator : public GeneratorOf<GaussianGenerator> {
public:
  const char *kind() const override { return "gaussian"; }
  void describe_fit(Keys &keys) override {
    keys.section("fit.gaussian");
    keys({"spread", "of what it makes"}, spread_, Limits{0, 10});
  }

  std::vector<MemoryPlan> plans(const GeneratorTask &task) const override {
    MemoryPlan plan("fit.gaussian");
    plan.reserve<float>("gaussian.mean", MemoryClass::weights, {std::int64_t(task.networks.parameters())});
    plan.place();
    return {plan};
  }

  void fit(const GeneratorTask &task, const FitWork &w) const override {
    const std::size_t v = task.networks.parameters();
    std::vector<float> mean(v), std(v), theta(v);
    for (const std::size_t row : w.training) {
      w.zoo.theta(row, theta.data());
      for (std::size_t i = 0; i < v; ++i)
        mean[i] += theta[i] / float(w.training.size());
    }
    for (const std::size_t row : w.training) {
      w.zoo.theta(row, theta.data());
      for (std::size_t i = 0; i < v; ++i)
        std[i] += (theta[i] - mean[i]) * (theta[i] - mean[i]) / float(w.training.size());
    }
    for (float &s : std)
      s = float(spread_) * std::sqrt(s);
    Json about = {{"kind", "gaussian"}};
    put_networks(about, w.zoo.format());
    const Shape shape{std::int64_t(v)};
    write_safetensors(w.file, {{"mean", Dtype::f32, shape, mean.data()}, {"std", Dtype::f32, shape, std.data()}},
                      {{"theta", about.dump()}, {"key", w.key}});
  }

  Sampled sample(const GeneratorTask &task, const SampleWork &w) const override {
    const Safetensors file(w.file);
    const Json about = about_generator(file, "gaussian");
    const ZooFormat networks = networks_of(about, w.file.string());
    const Shape shape{std::int64_t(networks.parameters)};
    const auto mean = file.read<float>("mean", shape), std = file.read<float>("std", shape);
    for (int i = 0; i < task.samples; ++i) {
      std::vector<float> theta;
      for (std::size_t c = 0; c < networks.parameters; ++c)
        theta.push_back(mean[c] + std[c] * normal(task.seed, Purpose::sample_start, std::uint32_t(i), c));
      w.emit(std::size_t(i), 0, theta);
    }
    return {networks};
  }

private:
  double spread_ = 1;
};

// Classifiers without a hidden layer: "readout.weight", "readout.bias".
class ReadoutKind : public NetworkKind {
public:
  const char *name() const override { return "readout"; }
  Layout layout(const NetworkShape &shape) const override {
    Layout layout;
    add_layer(layout, "readout", {shape.widths[1], shape.widths[0]}, shape.widths[0], shape.widths[1], true,
              shape.initialisation);
    return layout;
  }
  int inputs(const NetworkShape &shape) const override { return shape.widths[0]; }
  int outputs(const NetworkShape &shape) const override { return shape.widths[1]; }
  Symmetries symmetries(const NetworkShape &) const override { return {}; }
  std::shared_ptr<const WholeRuns> whole_runs(const NetworkShape &shape, int batch) const override {
    return mlp_kind()->whole_runs({shape.widths}, batch); // a perceptron of one layer has its weights in this order
  }
  std::optional<Recognised> recognise(const std::vector<TensorShape> &tensors, std::string &) const override {
    if (tensors.size() != 1 || tensors[0].name != "packed")
      return {};
    NetworkShape shape{{int(tensors[0].shape[1]), int(tensors[0].shape[0])}};
    shape.kind = this;
    return Recognised{shape, {0}};
  }
};

} // namespace

static const bool gaussian = add_generator("gaussian", [] { return std::make_unique<GaussianGenerator>(); });
static const bool readout = add_network_kind(std::make_unique<ReadoutKind>());

} // namespace theta

using namespace theta;
using namespace theta::test;

namespace {

std::string refusal(const std::filesystem::path &path, const std::string &set) {
  try {
    load_config(path, {set});
  } catch (const InputError &e) {
    return e.what();
  }
  return "";
}

} // namespace

TEST_CASE("a generator of one's own is fitted, sampled, judged, planned and configured as theta's are") {
  const Scratch folder;
  write_idx_data(folder.path() / "data", 120, 40);
  const auto path = folder.path() / "x.toml";
  std::ofstream(path) << "[data]\nfolder = '" << (folder.path() / "data").string() << "'\npool = 4\nvalidation = 10\n"
                      << "[network]\nwidths = [49, 4, 10]\n[zoo]\nnetworks = 12\nsteps = 30\nbatch = 16\nlr = 1e-2\n"
                      << "[fit]\ngenerator = 'gaussian'\n[fit.gaussian]\nspread = 0.5\n"
                      << "[sample]\ncount = 6\n[eval]\nnetworks = 6\nreferences = 6\nnoise = [0.1]\n";
  const Config config = load_config(path);
  CHECK(config.generators.name() == "gaussian");
  CHECK(fit_text(config).find("[fit.gaussian]\nspread = 0.5") != std::string::npos);
  CHECK(refusal(path, "fit.gaussian.spred=1").find("'fit.gaussian.spread'") != std::string::npos);
  CHECK(refusal(path, "fit.gaussian.spread=11").find("from 0 to 10") != std::string::npos);
  CHECK(refusal(path, "fit.generator=gausian").find("gaussian") != std::string::npos);
  const auto plans = plans_of(config, Backend::cpu);
  CHECK(plans[1].name() == "fit.gaussian");

  const auto out = folder.path() / "out";
  const Silence silence;
  Pipeline(Run{config, out, Device{}, {}}).all();
  const ZooReader samples(out / "samples"), zoo(out / "zoo");
  CHECK(samples.rows() == 6);
  CHECK(samples.format().layout == zoo.format().layout);
  const auto groups = read_eval(out / "eval.json");
  CHECK(groups[2].name == "generated");
  CHECK(groups[2].networks == 6);
  CHECK(generator_key(out / "generator.safetensors") != "");
  const auto made = std::filesystem::last_write_time(out / "samples" / "index.json");
  Pipeline(Run{config, out, Device{}, {}}).all(); // done before, skipped
  CHECK(std::filesystem::last_write_time(out / "samples" / "index.json") == made);
}

TEST_CASE("a kind of networks of one's own is trained, scored, recognised and configured as theta's are") {
  const Scratch folder;
  const Dataset data = small_data();
  ZooTask task = small_task(folder.path() / "zoo");
  task.network = {{16, 3}};
  task.network.kind = network_kind_named("readout");
  task.recipe.checkpoints = CheckpointKind::last, task.recipe.count = 1, task.recipe.steps = 60;
  task.facts = "{\"architecture\": " + architecture_of(task.network) + "}";
  for (const auto device : all_devices()) {
    std::filesystem::remove_all(folder.path() / "zoo");
    Journal journal;
    ZooTrainer(task, sizes_of(data), device.backend).run(device, data, journal);
    const ZooReader zoo(folder.path() / "zoo");
    CHECK(zoo.rows() == 5);
    CHECK(zoo.format().layout[0].name == "readout.weight");
    for (const float accuracy : zoo.floats("test_accuracy"))
      CHECK(accuracy > 0.9); // three stripes, apart
    const auto facts = network_facts(zoo.format(), "zoo");
    REQUIRE(facts.shape);
    CHECK(facts.shape->kind == task.network.kind);
    std::string why;
    const auto found = recognised({{"packed", {3, 16}}}, why);
    REQUIRE(found);
    CHECK(found->shape.kind == task.network.kind);
  }
  const auto path = folder.path() / "x.toml";
  std::ofstream(path) << "[network]\nkind = 'readout'\nwidths = [784, 10]\n";
  CHECK(layout_of(load_config(path).network).size() == 7850);
  CHECK_THROWS_AS(load_config(path, {"network.kind=readuot"}), InputError);
}
