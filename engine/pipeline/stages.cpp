#include "stages.h"
#include "completion.h"
#include "data/atomic_file.h"
#include "data/hash.h"
#include "data/json.h"
#include "data/mapped_file.h"
#include "engine/analysis/novelty.h"
#include "engine/generators/generator_file.h"
#include "engine/report/field_sheets.h"
#include "engine/report/report.h"
#include "engine/report/shape_sheets.h"
#include "engine/settings/toml_keys.h"
#include "engine/shapes/mesh_signals.h"
#include "engine/training/interrupt.h"
#include "engine/zoo/zoo_trainer.h"
#include "eval_file.h"
#include "field_eval.h"
#include "kernels/device/memory_watch.h"
#include "kernels/device/trace.h"
#include "prompt_report.h"
#include "shape_eval.h"
#include "source.h"
#include <algorithm>
#include <fmt/core.h>
#include <functional>

namespace theta {

namespace fs = std::filesystem;

namespace {

// What the numbers in a column of choices stand for.
template <class E> std::vector<std::string> names_of(int count) {
  std::vector<std::string> names;
  for (int i = 0; i < count; ++i)
    names.emplace_back(name_of(E(i)));
  return names;
}

std::string key_of(const fs::path &zoo) {
  if (!fs::exists(zoo / "index.json"))
    return "";
  const ZooReader reader(zoo);
  const Json facts = parse_json(reader.format().facts, zoo.string());
  return facts.value("key", "");
}

} // namespace

namespace {

// Everything is refused before the run's folder is touched. Without a budget, the device's memory is the budget.
std::pair<Run, std::vector<MemoryPlan>> checked(Run run) {
  if (const fs::path &data = run.config.data.folder; run.writes && !data.empty() && !fs::exists(data)) // else a plan
    throw InputError("data.folder: ", data.string(), ": cannot be read: there is no such folder");
  if (!run.memory_budget)
    for (const auto &facts : devices())
      if (facts.device == run.device)
        run.memory_budget = facts.memory;
  auto plans = plans_of(run.config, run.device.backend, run.memory_budget);
  for (const auto &plan : plans)
    if (plan.name().starts_with(run.stage))
      check_budget(plan, run.device.backend, run.memory_budget);
  return {std::move(run), std::move(plans)};
}

// The folder that a journal writes into, held; none where nothing is written.
fs::path locked(bool writes, std::optional<FolderLock> &lock, const fs::path &folder) {
  if (!writes)
    return {};
  lock.emplace(folder);
  return folder;
}

} // namespace

Stages::Stages(Run run) : Stages(checked(std::move(run))) {}

Stages::Stages(std::pair<Run, std::vector<MemoryPlan>> checked)
    : run_(std::move(checked.first)), plans_(std::move(checked.second)),
      journal_(locked(run_.writes, lock_, run_.out), Journal::Without::terminal) {
  const Source source = source_of(run_.config, dataset_sizes(run_.config.data.options()));
  network_ = source.network, field_ = source.field, body_ = source.body;
  if (run_.writes)
    write_file(run_.out / "config.toml", to_toml(run_.config));
}

// What a stage's memory was at the most, beside what its largest plan says, into the metrics.
class Stages::Measured {
public:
  Measured(Stages &stages, const char *stage) : stages_(stages), stage_(stage), watch_(stages.run_.device) {
    stages.journal_.rewind_metrics(std::string(stage) + ".memory", -1);
  }
  ~Measured() {
    std::size_t planned = 0;
    for (const MemoryPlan &plan : stages_.plans_)
      if (plan.name().starts_with(stage_))
        planned = std::max(planned, plan.bytes_on(stages_.run_.device.backend));
    try {
      stages_.journal_.metrics(std::string(stage_) + ".memory", 0,
                               {{"planned_bytes", double(planned)},
                                {"peak_bytes", double(watch_.peak())},
                                {"before_bytes", double(watch_.before())}});
    } catch (...) { // the stage's own error says more
    }
  }

private:
  Stages &stages_;
  const char *stage_;
  MemoryWatch watch_;
};

const Dataset &Stages::data() {
  if (!data_) {
    data_ =
        load_signals(run_.device, run_.config.data.options(), [&](const std::string &line) { journal_.line(line); });
  }
  return *data_;
}

const NetworkShape &Stages::network(const char *stage) const {
  if (!network_)
    throw InputError(stage, ": ", zoo_path().string(), " holds networks that cannot be run on ", run_.config.data.name,
                     "; expected classifiers of its pixels and classes");
  return *network_;
}

std::string Stages::zoo_key() {
  if (!run_.config.zoo.from.empty())
    return hash_of("zoo from\n" + hash_of(MappedFile(zoo_path() / "index.json").bytes()));
  return hash_of("zoo 3\n" + zoo_text(run_.config) + data().fingerprint +
                 (run_.device.backend == Backend::cpu ? "cpu" : "cuda"));
}
std::string Stages::fit_key() { return hash_of("fit 2\n" + zoo_key() + fit_text(run_.config)); }
std::string Stages::sample_key() { return hash_of("sample 1\n" + fit_key() + sample_text(run_.config)); }
std::string Stages::eval_key() { return hash_of("eval 3\n" + sample_key() + eval_text(run_.config)); }

// Throws InputError where what a stage begins with was made otherwise, naming what differs.
void Stages::check_made(const char *stage, const fs::path &what, bool same, const std::string &found,
                        const std::string &expected, const char *again) const {
  if (same)
    return;
  const std::string difference = difference_of(found, expected);
  throw InputError(stage, ": ", what.string(), " was made with other settings: ",
                   difference.empty() ? "other data, another device or another version" : difference, "; `theta ",
                   again, "` makes it anew");
}

void Stages::check_zoo(const char *stage) {
  if (!run_.config.zoo.from.empty() || !fs::exists(zoo_path() / "index.json"))
    return; // the reader says so
  const Json facts = parse_json(ZooReader(zoo_path()).format().facts, zoo_path().string());
  check_made(stage, zoo_path(), facts.value("key", "") == zoo_key(), facts.value("recipe", ""), zoo_text(run_.config),
             "zoo train");
}

void Stages::check_generator(const char *stage) {
  if (fs::exists(generator_path()))
    check_made(stage, generator_path(), generator_key(generator_path()) == fit_key(),
               generator_settings(generator_path()), zoo_text(run_.config) + fit_text(run_.config), "fit");
}

void Stages::check_samples(const char *stage) {
  if (!fs::exists(samples_path() / "index.json"))
    return;
  const Json facts = parse_json(ZooReader(samples_path()).format().facts, samples_path().string());
  check_made(stage, samples_path(), facts.value("key", "") == sample_key(), facts.value("settings", ""),
             settings_of_samples(), "sample");
}

std::string Stages::settings_of_samples() const {
  return zoo_text(run_.config) + fit_text(run_.config) + sample_text(run_.config);
}

std::string Stages::facts_of(const std::string &key, const std::string &what) {
  const Config &c = run_.config;
  const Dataset &d = data();
  const auto architecture = [&]() -> Json {
    if (const auto &shape = c.zoo.from.empty() ? std::optional(c.network) : source_of(c, sizes_of(d)).facts.shape)
      return parse_json(architecture_of(*shape), "architecture");
    return {{"kind", "unknown"}};
  };
  Json facts = {{"key", key},
                {"what", what},
                {"architecture", architecture()},
                {"dataset",
                 {{"name", d.name},
                  {"side", d.side},
                  {"channels", d.channels},
                  {"classes", d.classes},
                  {"labels", c.data.labels},
                  {"mean", d.mean},
                  {"std", d.std},
                  {"train", d.train.size()},
                  {"validation", d.validation.size()},
                  {"test", d.test.size()},
                  {"fingerprint", d.fingerprint}}},
                {"recipe", zoo_text(c)},
                {"names",
                 {{"optimizer", names_of<OptimizerKind>(3)},
                  {"activation", names_of<Activation>(9)},
                  {"initialisation", names_of<Initialisation>(4)}}},
                {"networks", c.zoo.recipe.networks},
                {"seed", c.seed},
                {"device", run_.device.backend == Backend::cpu ? "cpu" : "cuda"}};
  if (what == "generated")
    facts["settings"] = settings_of_samples();
  return facts.dump();
}

void Stages::zoo() {
  const Span span("zoo");
  if (!run_.config.zoo.from.empty())
    return journal_.line("zoo: " + zoo_path().string() + " is there, nothing to train");
  const std::string key = zoo_key();
  if (key_of(zoo_path()) == key) {
    fs::remove(zoo_path() / ".state.safetensors");
    return journal_.line("zoo: done before, skipped");
  }
  const Dataset &d = data();
  ZooTask task = task_of(run_.config);
  task.directory = zoo_path(), task.facts = facts_of(key, "trained"), task.key = key;
  ZooTrainer trainer(std::move(task), sizes_of(d), run_.device.backend, run_.memory_budget);
  const Measured measured(*this, "zoo");
  trainer.run(run_.device, d, journal_);
}

void Stages::fit() {
  const Span span("fit");
  const std::string key = fit_key();
  const fs::path state = run_.out / ".generator.state.safetensors";
  if (generator_key(generator_path()) == key) {
    fs::remove(state);
    return journal_.line("fit: done before, skipped");
  }
  check_zoo("fit");
  const ZooReader zoo(zoo_path());
  if (zoo.has_column("activation")) {
    const auto activation = zoo.integers("activation");
    if (std::adjacent_find(activation.begin(), activation.end(), std::not_equal_to<>()) != activation.end())
      throw InputError("fit: ", zoo_path().string(),
                       " holds networks of several activations, expected one: "
                       "a generator does not know which a network has");
  }
  const Split split = split_of(zoo);
  if (const auto bad = zoo.not_finite(split.training); !bad.empty())
    throw InputError("fit: ", zoo_path().string(), ": row ", bad[0].row, ": '", bad[0].tensor, "' holds ", bad[0].value,
                     ", and so do ", bad.size() - 1,
                     " more rows; expected finite numbers (`theta zoo import` leaves "
                     "such networks out)");
  auto task = generator_task(run_.config, sizes_of(data()), run_.device.backend,
                             network_facts(zoo.format(), zoo_path().string()), split.training.size());
  if (task.stream)
    task.stream->data = &data();
  const Measured measured(*this, "fit");
  run_.config.generators.chosen().fit(
      task, {run_.device, zoo, split.training, split.held_out, state, generator_path(), key,
             zoo_text(run_.config) + fit_text(run_.config), journal_,
             [&](const std::vector<float> &theta, std::size_t networks) { return worth(theta, networks); }});
  fs::remove(state);
  journal_.line(fmt::format("fit: learned {} networks of {} parameters, in {}", split.training.size(), zoo.parameters(),
                            generator_path().string()));
}

// Of samples of a generator in training.
Metrics Stages::worth(const std::vector<float> &theta, std::size_t networks) {
  if (!network_)
    return {};
  const std::size_t v = theta.size() / networks;
  const Scores scores =
      score(v, {networks, [&](std::size_t i, float *to) { std::copy_n(theta.data() + i * v, v, to); }}).first;
  const double accuracy = summarise(scores.accuracy).mean, loss = summarise(scores.loss).mean;
  journal_.line(fmt::format("fit: {} samples of the generator of the moment: mean test accuracy {:.2f} %", networks,
                            100 * accuracy));
  return {{"accuracy", accuracy}, {"loss", loss}};
}

void Stages::sample() {
  const Span span("sample");
  const std::string key = sample_key();
  if (key_of(samples_path()) == key)
    return journal_.line("sample: done before, skipped");
  const Config &c = run_.config;
  check_zoo("sample"), check_generator("sample");
  const ZooReader zoo(zoo_path());
  const Split split = split_of(zoo);
  const NetworkFacts facts = network_facts(zoo.format(), zoo_path().string());
  const auto task = generator_task(c, sizes_of(data()), run_.device.backend, facts, split.training.size());
  // Written as they are made; what the columns say of them is known afterwards.
  const std::size_t count = std::size_t(c.sample.count), v = facts.parameters();
  ZooFormat format{facts.layout, v, Dtype::f32, {{"sample", Dtype::i64}}, facts_of(key, "generated")};
  for (const std::string &name : c.generators.chosen().told())
    format.columns.push_back({"told_" + name, Dtype::f32});
  if (network_)
    format.columns.push_back({"test_loss", Dtype::f32}), format.columns.push_back({"test_accuracy", Dtype::f32});
  const std::size_t watched = std::min(std::size_t(c.sample.watch), count), rows = c.generators.chosen().trajectory();
  if (watched > 0 && rows == 0)
    throw InputError("sample.watch: found ", c.sample.watch, ", expected 0 for ", c.generators.name(),
                     ", whose way cannot be watched");
  std::optional<ZooWriter> way;
  if (watched > 0)
    way.emplace(trajectory_path(),
                ZooFormat{facts.layout,
                          v,
                          Dtype::f32,
                          {{"sample", Dtype::i64}, {"step", Dtype::i64}, {"predicted", Dtype::i64}},
                          format.facts},
                watched * rows);
  const auto &field = field_ ? field_ : body_;
  std::optional<Completion> completion;
  std::optional<FieldGuide> guide;
  if (task.guided) {
    completion = completion_of(c, data(), zoo, split.held_out);
    guide.emplace(guide_of(c, *field, data().coordinates(), data().channels, &data(), completion->signals));
    format.columns.push_back({"signal", Dtype::i64});
  }
  ZooWriter writer(samples_path(), format, count);
  const Measured measured(*this, "sample");
  if (guide)
    guide->take(run_.device);
  const Sampled made = [&] {
    Progress progress(journal_, "sample", "networks", double(count));
    std::size_t parameters = 0;
    return c.generators.chosen().sample(task, {run_.device, generator_path(), zoo, split.held_out,
                                               [&](std::size_t i, std::size_t at, std::span<const float> theta) {
                                                 writer.write(i, at, theta.size(), theta.data());
                                                 progress.update(double(parameters += theta.size()) / double(v));
                                               },
                                               [&](const std::string &what) { journal_.line(what); }, watched,
                                               [&](std::size_t i, std::size_t at, std::span<const float> theta) {
                                                 way->write(i, at, theta.size(), theta.data());
                                               },
                                               guide ? &*guide : nullptr});
  }();
  for (std::size_t i = 0; i < watched * rows; ++i)
    way->describe({std::int64_t(i / rows), std::int64_t(i % rows / 2), std::int64_t(i % rows % 2)});

  const PromptTable &table = made.told;
  Scores scores;
  std::string accuracy = "not scored";
  if (network_) {
    std::vector<char> broken;
    std::tie(scores, broken) = score(v, {count, [&](std::size_t i, float *theta) { writer.read(i, 0, v, theta); }});
    std::vector<float> sound;
    for (std::size_t i = 0; i < broken.size(); ++i)
      if (!broken[i])
        sound.push_back(scores.accuracy[i]);
    accuracy = fmt::format("mean test accuracy {:.2f} %", 100 * summarise(sound).mean);
    if (sound.size() < broken.size())
      accuracy += fmt::format(", {} broken", broken.size() - sound.size());
  }
  for (std::size_t i = 0; i < count; ++i) {
    std::vector<ColumnValue> values{std::int64_t(i)};
    for (std::size_t k = 0; k < table.prompts.size(); ++k)
      values.emplace_back(double(table.value(k, i)));
    if (network_)
      values.insert(values.end(), {double(scores.loss[i]), double(scores.accuracy[i])});
    if (completion)
      values.emplace_back(std::int64_t(completion->signals[i]));
    writer.describe(values);
  }
  if (made.can_be_told && network_) {
    const PromptReport told = prompt_report(table, zoo, scores.loss, scores.accuracy);
    write_file(run_.out / "prompts.json", told.json.dump(1) + "\n");
    if (!told.table.empty())
      journal_.result(told.table);
  }
  if (way)
    way->finish();
  writer.finish();
  if (completion) {
    std::vector<std::size_t> training;
    const auto signal = zoo.integers("signal");
    for (const std::size_t row : split.training)
      training.push_back(std::size_t(signal[row]));
    const auto report = judge_completion(*completion, *field, run_.device, data(), ZooReader(samples_path()), training);
    write_completion(run_.out / "completion.json", report);
    journal_.result(text_of(report));
  }
  if (way)
    journal_.line(
        fmt::format("sample: the way of {} of them from noise on, in {}", watched, trajectory_path().string()));
  journal_.line(fmt::format("sample: {} networks, {}, in {}", c.sample.count, accuracy, samples_path().string()));
}

// Losses and accuracies of networks on the test part, and which of them are broken.
std::pair<Scores, std::vector<char>> Stages::score(std::size_t parameters, const NetworkSet &networks) {
  const NetworkShape &shape = network("sample");
  if (const std::size_t v = layout_of(shape).size(); parameters != v)
    throw InputError("sample: ", generator_path().string(), " generates networks of ", parameters,
                     " parameters, expected ", v, ", as the configuration has; `theta fit` makes another");
  const Dataset &d = data();
  const Backend backend = run_.device.backend;
  Evaluator evaluator = sample_evaluator(shape, d.test.size(), run_.config.eval, backend, run_.memory_budget);
  Tensor<float> staging;
  const MemoryPlan plan = plan_of_scores(evaluator, staging);
  Stream stream(run_.device);
  const Arena arena(run_.device, plan);
  evaluator.upload(stream, d, d.test);
  std::vector<char> broken;
  Scores scores = evaluator.score_all(stream, networks.count, networks.network, staging, &broken);
  return {std::move(scores), std::move(broken)};
}

// Fields of images, or of bodies: what they show, and whether it is new.
void Stages::eval_fields() {
  const std::string key = eval_key();
  if (eval_key_of(eval_path()) == key) {
    journal_.line("eval: done before, skipped");
    return journal_.result(body_ ? table_of(read_shape_eval(eval_path())) : table_of(read_field_eval(eval_path())));
  }
  check_zoo("eval"), check_samples("eval");
  const ZooReader zoo(zoo_path()), samples(samples_path());
  const Measured measured(*this, "eval");
  if (body_) {
    const auto reports = judge_shapes(run_.config, *body_, run_.device, data(), zoo, samples, journal_);
    write_shape_eval(eval_path(), reports, key);
    return journal_.result(table_of(reports));
  }
  const auto reports = judge_fields(run_.config, *field_, run_.device, data(), zoo, samples, journal_);
  write_field_eval(eval_path(), reports, key);
  journal_.result(table_of(reports));
}

void Stages::eval() {
  const Span span("eval");
  if (field_ || body_)
    return eval_fields();
  const std::string key = eval_key();
  if (eval_key_of(eval_path()) == key) {
    journal_.line("eval: done before, skipped");
    return journal_.result(table_of(read_eval(eval_path())));
  }
  const Config &c = run_.config;
  const EvalConfig &e = c.eval;
  const NetworkShape &shape = network("eval");
  check_zoo("eval"), check_samples("eval");
  const ZooReader zoo(zoo_path()), samples(samples_path());
  for (const ZooReader *of : {&zoo, &samples})
    if (const std::size_t v = layout_of(shape).size(); of->parameters() != v)
      throw InputError("eval: ", of->path().string(), " holds networks of ", of->parameters(), " parameters, expected ",
                       v, ", as the configuration has");
  const Split split = split_of(zoo);
  const std::size_t references = std::min({std::size_t(e.references), split.training.size(), split.held_out.size()});
  if (references < 2)
    throw InputError("eval: found ", split.training.size(), " training and ", split.held_out.size(),
                     " held-out networks, expected at least 2 of each (zoo.held_out)");
  const Dataset &d = data();
  const Images &part = e.part == "test" ? d.test : d.validation;
  const std::size_t group = std::size_t(e.networks);
  const Measured measured(*this, "eval");
  NoveltyJudge judge(shape, part.size(), e.wave, references, group, run_.device.backend, e.distance,
                     run_.memory_budget);
  judge.start(run_.device, d, part, choose(zoo, split.training, references, c.seed, 0),
              choose(zoo, split.held_out, references, c.seed, 1));

  std::vector<std::size_t> generated(samples.rows());
  for (std::size_t i = 0; i < generated.size(); ++i)
    generated[i] = i;
  NetworkSet made = choose(samples, generated, group, c.seed, 2);
  made.source.clear(); // rows of another zoo
  std::vector<GroupReport> reports;
  Progress progress(journal_, "eval", "groups", double(5 + e.noise.size()));
  const auto add = [&](const std::string &name, const NetworkSet &set) {
    if (interrupted())
      throw Interrupted("eval: stopped; the same command starts it again");
    reports.push_back(judge.judge(name, set));
    progress.update(double(reports.size()), name);
  };
  add("training", choose(zoo, split.training, group, c.seed, 0));
  add("held_out", choose(zoo, split.held_out, group, c.seed, 1));
  add("generated", made);
  for (std::size_t i = 0; i < e.noise.size(); ++i)
    add(fmt::format("noise_{}", e.noise[i]),
        noisy_copies(zoo, split.training, group, e.noise[i], c.seed, std::uint32_t(3 + i)));
  add(fmt::format("average_{}", e.average), averages(zoo, split.training, group, std::size_t(e.average), c.seed));
  const bool is_large = zoo.parameters() > large_network;
  add("gaussian", gaussians(zoo, split.training, group, c.seed, is_large ? run_.out / ".gaussian" : fs::path()));
  for (GroupReport &r : reports)
    r.z_u = mann_whitney_z(r.nearest_l2, reports[1].nearest_l2); // against held_out
  write_eval(eval_path(), reports, key);
  journal_.result(table_of(reports));
}

void Stages::report() {
  const Span span("report");
  const ZooReader zoo(zoo_path()), samples(samples_path());
  if (body_) {
    for (const auto &path :
         draw_shapes(run_.out / "report", *body_, run_.device, zoo, samples, read_shape_eval(eval_path())))
      journal_.line("report: " + path.string());
    return;
  }
  if (field_) {
    for (const auto &path :
         draw_fields(run_.out / "report", *field_, run_.device, data(), zoo, samples, read_field_eval(eval_path())))
      journal_.line("report: " + path.string());
    return;
  }
  const auto drawn =
      draw_report(run_.out / "report", run_.out / "metrics.jsonl", read_eval(eval_path()), zoo, samples, data().side);
  for (const auto &path : drawn)
    journal_.line("report: " + path.string());
}

void Stages::all() {
  zoo();
  fit();
  sample();
  if (!network_ && !field_ && !body_)
    return journal_.line("eval, report: left out, these networks cannot be run on " + run_.config.data.name);
  eval();
  report();
}

} // namespace theta
