// What theta does not have, each added by a line from here, goes through everything that its own goes through: a
// generator, kinds of networks, an operation, a data set, a metric, a task, and a stage, which is a subcommand too.
#include "data/atomic_file.h"
#include "data/hash.h"
#include "data/json.h"
#include "data/raw_images.h"
#include "data/safetensors.h"
#include "data/zoo_reader.h"
#include "engine/generators/generator.h"
#include "engine/generators/generator_file.h"
#include "engine/networks/kind.h"
#include "engine/networks/step.h"
#include "engine/pipeline/configuration/source.h"
#include "engine/pipeline/stages/pipeline.h"
#include "engine/tasks/eval_file.h"
#include "engine/tasks/groups.h"
#include "engine/tasks/metric.h"
#include "engine/weights/graph.h"
#include "engine/zoo/export.h"
#include "engine/zoo/import.h"
#include "kernels/operations/add.h"
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
  Program program(const NetworkShape &shape) const override {
    Program p("readout", shape);
    linear(p, "readout", p.input({shape.widths[0]}), shape.widths[1]);
    return p;
  }
  std::optional<Recognised> recognise(const std::vector<TensorShape> &tensors, std::string &) const override {
    if (tensors.size() != 1 || tensors[0].name != "packed")
      return {};
    NetworkShape shape{{int(tensors[0].shape[1]), int(tensors[0].shape[0])}};
    shape.kind = this;
    return Recognised{shape, {0}};
  }
};

// A stream of units to which blocks add, behind a norm each: inputs, the stream, a hidden layer a block, outputs.
class ResidualKind : public NetworkKind {
public:
  const char *name() const override { return "residual"; }
  Program program(const NetworkShape &shape) const override {
    Program p("residual", shape);
    const auto &widths = shape.widths;
    Value x = linear(p, "stem", p.input({widths.front()}), widths.at(1));
    for (std::size_t b = 2; b + 1 < widths.size(); ++b) {
      const std::string block = text("blocks.", b - 2);
      const Value h = linear(p, block + ".fc1", layer_norm(p, block + ".norm", x), widths[b], shape.act);
      x = add(p, x, linear(p, block + ".fc2", h, widths[1]));
    }
    linear(p, "head", batch_norm(p, "norm", x), widths.back());
    return p;
  }
};

// An operation: y = 2·x.
template <class T> class TwiceStep;
class Twice : public OperationWith<Twice, TwiceStep> {
public:
  explicit Twice(std::size_t elements) : elements(elements) {}
  void tie(Ties &ties) const override { ties.same(from[0], to); }
  std::size_t elements; // of an example
};
template <class T> class TwiceStep : public Step<T> {
public:
  explicit TwiceStep(const Twice &of) : of_(of) {}
  void forward(Stream &s, const StepWork<T> &w, bool) override { twice(s, w, w.y, w.x[0]); }
  void backward(Stream &s, const StepWork<T> &w) override { twice(s, w, w.dx[0], w.dy); }

private:
  void twice(Stream &s, const StepWork<T> &w, T *to, const T *from) const {
    add_scaled<T>(s, to, from, from, 1, std::size_t(w.networks * w.rows) * of_.elements);
  }
  const Twice &of_;
};
Value twice(Program &p, Value x) { return p.append(std::make_unique<Twice>(p.elements(x)), {x}, p.shape(x)); }

// A kind that has it, and whose networks nobody but a task of their own looks at.
class DoublingKind : public NetworkKind {
public:
  const char *name() const override { return "doubling"; }
  Program program(const NetworkShape &shape) const override {
    Program p("doubling", shape);
    linear(p, "out", twice(p, linear(p, "in", p.input({shape.widths.at(0)}), shape.widths.at(1), shape.act)),
           shape.widths.at(2));
    return p;
  }
};

// A task: what is asked of such networks is how large they are.
class NormTask : public Task {
public:
  const char *name() const override { return "norms"; }
  bool takes(const NetworkShape &shape, const DatasetSizes &, const ZooReader *) const override {
    return std::string_view(shape.kind->name()) == "doubling";
  }
  std::vector<MemoryPlan> plans(const EvalSizes &) const override { return {}; }
  std::vector<GroupReport> judge(const EvalWork &work, Journal &) const override {
    Groups groups(work);
    groups.add("training", "training", {rows_of(work.zoo, work.training)});
    groups.add_generated(Groups::Taken::first, work.held_out);
    std::vector<GroupReport> reports;
    for (const Group &group : groups.all()) {
      reports.push_back({group.name, group.role, group.networks.count});
      measure(work, group.networks, reports.back());
    }
    return reports;
  }
  std::string table(const std::vector<GroupReport> &reports) const override {
    return text(reports.size(), " groups\n");
  }
  std::vector<std::filesystem::path> draw(const EvalWork &, const std::vector<GroupReport> &,
                                          const std::filesystem::path &, const std::filesystem::path &) const override {
    return {};
  }
};

// A metric: the first weight.
void first_weight(const EvalWork &work, const NetworkSet &group, GroupReport &report) {
  std::vector<float> theta(work.zoo.parameters());
  for (std::size_t i = 0; i < group.count; ++i)
    group.network(i, theta.data()), report.values["first_weight"].push_back(theta[0]);
}

// A data set: two stripes, 8 x 8.
RawImages read_stripes(const DatasetOptions &, WhatIsRead) {
  RawImages raw{.name = "stripes", .side = 8, .classes = 2};
  raw.train = test::stripes(120, 8, 2, 1), raw.test = test::stripes(40, 8, 2, 2);
  return raw;
}

// A stage with settings of its own: how many samples there are, times something.
struct CountSettings : StageSettingsOf<CountSettings> {
  int times = 2;
  void describe(Keys &keys) override { keys({"times", "what samples are counted by"}, times, positive); }
};
class CountStage : public Stage {
public:
  const char *name() const override { return "count"; }
  const char *what() const override { return "count the samples"; }
  std::unique_ptr<StageSettings> settings() const override { return std::make_unique<CountSettings>(); }
  std::string key(Member &m) const override {
    return hash_of("count" + m.key("sample") + text_of_sections(m.config(), {"count"}));
  }
  void run(Member &m) const override {
    const auto samples = ZooReader(m.samples_path()).rows() * std::size_t(m.config().of<CountSettings>().times);
    write_file(m.out() / "count.json", Json{{"count", samples}, {"key", key(m)}}.dump() + "\n");
  }
};

} // namespace

static const bool doubling = add_network_kind(std::make_unique<DoublingKind>());
static const bool norms = add_task(std::make_unique<NormTask>());
static const bool metric = add_metric(first_weight);
static const bool data_set = add_data_set("stripes", read_stripes);
static const bool stage = add_stage(std::make_unique<CountStage>());
static const bool residual = add_network_kind(std::make_unique<ResidualKind>());
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

TEST_CASE("a data set, an operation, a task, a metric and a stage of one's own go through a run") {
  const Scratch folder;
  const auto path = folder.path() / "x.toml";
  std::ofstream(path)
      << "[data]\nname = 'stripes'\nvalidation = 10\n[network]\nkind = 'doubling'\nwidths = [64, 4, 2]\n"
      << "[zoo]\nnetworks = 8\nsteps = 30\nbatch = 16\nlr = 1e-2\n[fit]\ngenerator = 'gaussian'\n"
      << "[sample]\ncount = 6\n[eval]\nnetworks = 6\nreferences = 4\n[count]\ntimes = 7\n";
  const Config config = load_config(path);
  CHECK(config.of<CountSettings>().times == 7);
  CHECK(refusal(path, "count.tims=1").find("'count.times'") != std::string::npos);
  CHECK(to_toml(load_config(path, {"count.times=3"})).find("[count]\ntimes = 3") != std::string::npos);
  CHECK(refusal(path, "data.name=stripe").find("stripes") != std::string::npos);
  const auto out = folder.path() / "out";
  const Silence silence;
  Pipeline(Run{config, out, Device{}, {}}).all();
  const ZooReader zoo(out / "zoo");
  for (const float accuracy : zoo.floats("test_accuracy"))
    CHECK(accuracy > 0.9);
  CHECK(zoo.format().layout[2].name == "out.weight");
  CHECK_FALSE(ZooReader(out / "samples").has_column("test_accuracy")); // the task has no accuracy
  const auto groups = read_eval(out / "eval.json");
  REQUIRE(groups.size() == 2);
  std::vector<float> theta(zoo.parameters());
  ZooReader(out / "samples").theta(3, theta.data());
  CHECK(groups[1].of("first_weight").at(3) == theta[0]);
  CHECK(json_file(out / "count.json").at("count") == 42);
  CHECK(stage_named("count").what() == std::string("count the samples")); // `theta count`
  CHECK(stages().back()->name() == std::string("report"));
}

TEST_CASE("a kind with a residual stream and norms, a page of program, is trained, exported, imported and generated") {
  const Scratch folder;
  const Dataset data = small_data();
  ZooTask task = small_task(folder.path() / "zoo");
  task.network = {{16, 6, 5, 7, 3}, Activation::gelu};
  task.network.kind = network_kind_named("residual");
  task.recipe.activation = {Activation::gelu};
  // Not Adam: biases before the running statistics have no gradient but roundings, which it would take for one.
  task.recipe.optimizer = {OptimizerKind::sgd}, task.recipe.lr = 0.05;
  task.recipe.checkpoints = CheckpointKind::last, task.recipe.count = 1, task.recipe.steps = 60;
  task.facts = "{\"architecture\": " + architecture_of(task.network) + "}";
  std::vector<float> on_the_first;
  for (const auto device : all_devices()) {
    std::filesystem::remove_all(folder.path() / "zoo");
    Journal journal;
    ZooTrainer(task, sizes_of(data), device.backend).run(device, data, journal);
    const ZooReader zoo(folder.path() / "zoo");
    for (const float accuracy : zoo.floats("test_accuracy"))
      CHECK(accuracy > 0.8);
    std::vector<float> theta(zoo.parameters());
    zoo.theta(0, theta.data());
    if (on_the_first.empty())
      on_the_first = theta;
    CHECK(relative_error(theta, on_the_first) < 1e-3); // 60 steps, sums in another order
  }
  // Out as one file a network, and in again by their names alone.
  const ZooReader zoo(folder.path() / "zoo");
  Journal journal;
  export_zoo(zoo, folder.path() / "out", journal);
  import_zoo({.directory = folder.path() / "out", .zoo = folder.path() / "back", .network = task.network}, journal);
  const ZooReader back(folder.path() / "back");
  CHECK(back.format().layout == zoo.format().layout);
  std::vector<float> one(zoo.parameters()), other = one;
  zoo.theta(2, one.data()), back.theta(2, other.data());
  CHECK(one == other);
  REQUIRE(network_facts(back.format(), "back").shape);
  // Its units are exchangeable, and the graph generator knows them.
  const auto groups = task.network.kind->symmetries(task.network);
  REQUIRE(groups.size() == 3);
  const WeightGraph graph(task.network, graph_slots({task.network}));
  CHECK(graph.nodes() == 6 + 5 + 7 + 1);
  CHECK(graph.edges() == 2 * 6 * (5 + 7));
  std::vector<std::int32_t> held;
  for (const std::int32_t at : graph.place())
    if (at >= 0)
      held.push_back(at);
  std::sort(held.begin(), held.end());
  REQUIRE(held.size() == zoo.parameters());
  for (std::size_t i = 0; i < held.size(); ++i)
    CHECK(held[i] == std::int32_t(i));

  write_idx_data(folder.path() / "data", 120, 40);
  const auto path = folder.path() / "x.toml";
  std::ofstream(path) << "[data]\nfolder = '" << (folder.path() / "data").string() << "'\npool = 4\nvalidation = 10\n"
                      << "[network]\nkind = 'residual'\nwidths = [49, 4, 3, 10]\n"
                      << "[zoo]\nnetworks = 12\nsteps = 30\nbatch = 16\nlr = 1e-2\n"
                      << "[fit]\ngenerator = 'graph'\n[fit.graph]\nwidth = 16\nedge_width = 4\nlayers = 1\nheads = 2\n"
                      << "steps = 20\nbatch = 4\n[sample]\ncount = 6\nbatch = 3\nsolver_steps = 4\n"
                      << "[eval]\nnetworks = 6\nreferences = 6\nbaselines = false\ndistance = 'assigned'\n";
  const Silence silence;
  Pipeline(Run{load_config(path), folder.path() / "run", Device{}, {}}).all();
  CHECK(ZooReader(folder.path() / "run" / "samples").rows() == 6);
  CHECK(read_eval(folder.path() / "run" / "eval.json")[2].of("accuracy").size() == 6);
}
