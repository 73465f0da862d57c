#include "stages.h"
#include "data/atomic_file.h"
#include "data/hash.h"
#include "data/json.h"
#include "data/mapped_file.h"
#include "engine/generators/generator_file.h"
#include "engine/report/field_sheets.h"
#include "engine/report/plane_chart.h"
#include "engine/report/report.h"
#include "engine/report/shape_sheets.h"
#include "engine/settings/toml_keys.h"
#include "engine/shapes/mesh_signals.h"
#include "engine/zoo/zoo_trainer.h"
#include "eval_file.h"
#include "field_eval.h"
#include "kernels/device/parallel.h"
#include "kernels/device/trace.h"
#include "measured.h"
#include "page_files.h"
#include "shape_eval.h"
#include "source.h"
#include "trajectories_file.h"
#include <algorithm>
#include <fmt/core.h>
#include <functional>
#include <numeric>

namespace theta {

namespace fs = std::filesystem;

namespace {

// What the numbers in a column of choices stand for.
std::vector<std::string> texts_of(std::span<const char *const> names) { return {names.begin(), names.end()}; }

// Everything is refused before the run's folder is touched. Without a budget, the device's memory is the budget.
std::pair<Run, std::vector<MemoryPlan>> checked(Run run) {
  if (!run.config.others.empty() || !run.config.unseen.empty()) // a family's members are runs of their own
    throw InputError("network.widths: found several architectures, expected one here");
  if (const fs::path &data = run.config.data.folder; run.writes && !data.empty() && !fs::exists(data)) // else a plan
    throw InputError("data.folder: ", data.string(), ": cannot be read: there is no such folder");
  if (!run.memory_budget)
    for (const auto &facts : devices())
      if (facts.device == run.device)
        run.memory_budget = facts.memory;
  auto plans = plans_of(run.config, run.device.backend, run.memory_budget);
  for (const auto &plan : plans)
    if (run.stage.empty() || plan.stage() == run.stage)
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
  if (!run_.writes)
    return;
  write_file(run_.out / "config.toml", to_toml(run_.config));
  std::string description = run_.device.name();
  for (const auto &facts : devices())
    if (facts.device == run_.device)
      description = text(facts.device.name(), ": ", facts.description, ", ", facts.units,
                         run_.device.backend == Backend::cpu ? " threads, " : " multiprocessors, ", facts.capability);
  write_file(run_.out / "run.json",
             Json{{"theta", run_.version}, {"device", description}, {"threads", threads()}}.dump(1) + "\n");
}

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
std::string Stages::fit_key() {
  if (!generator_key_.empty())
    return generator_key_;
  return hash_of("fit 2\n" + zoo_key() + fit_text(run_.config));
}
std::string Stages::sample_key() { return hash_of("sample 1\n" + fit_key() + sample_text(run_.config)); }
std::string Stages::eval_key() {
  std::string others;
  const auto add = [&](const fs::path &zoo) { others += hash_of(MappedFile(zoo / "index.json").bytes()); };
  for (const std::string &group : run_.config.eval.groups)
    add(group.substr(group.find('=') + 1));
  if (!run_.config.eval.twin.empty())
    add(run_.config.eval.twin);
  return hash_of("eval 4\n" + sample_key() + eval_text(run_.config) + others);
}

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
                 {{"optimizer", texts_of(names_of_optimizers())},
                  {"activation", texts_of(names_of_activations())},
                  {"initialisation", texts_of(names_of_initialisations())}}},
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
  if (zoo_key_of(zoo_path()) == key) {
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
  const auto [zoo, split] = training_zoo("fit");
  const Measured measured(*this, "fit");
  run_.config.generators.chosen().fit(
      task(zoo, split.training.size()),
      {run_.device, zoo, split.training, split.held_out, state, generator_path(), key,
       zoo_text(run_.config) + fit_text(run_.config), journal_,
       [&](const std::vector<float> &theta, std::size_t networks) { return worth(theta, networks); }});
  fs::remove(state);
  journal_.line(fmt::format("fit: learned {} networks of {} parameters, in {}", split.training.size(), zoo.parameters(),
                            generator_path().string()));
}

Stages::TrainingZoo Stages::training_zoo(const char *stage) {
  check_zoo(stage);
  TrainingZoo all{ZooReader(zoo_path()), {}};
  const ZooReader &zoo = all.zoo;
  if (zoo.has_column("activation")) {
    const auto activation = zoo.integers("activation");
    if (std::adjacent_find(activation.begin(), activation.end(), std::not_equal_to<>()) != activation.end())
      throw InputError(stage, ": ", zoo_path().string(),
                       " holds networks of several activations, expected one: "
                       "a generator does not know which a network has");
  }
  all.split = split_of(zoo, run_.config.fit);
  if (const auto bad = zoo.not_finite(all.split.training); !bad.empty())
    throw InputError(stage, ": ", zoo_path().string(), ": row ", bad[0].row, ": '", bad[0].tensor, "' holds ",
                     bad[0].value, ", and so do ", bad.size() - 1,
                     " more rows; expected finite numbers (`theta zoo import` leaves "
                     "such networks out)");
  return all;
}

GeneratorTask Stages::task(const ZooReader &zoo, std::size_t training) {
  auto task = generator_task(run_.config, sizes_of(data()), run_.device.backend,
                             network_facts(zoo.format(), zoo_path().string()), training);
  if (task.stream)
    task.stream->data = &data();
  return task;
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
  const Split split = split_of(zoo, run_.config.fit);
  const NetworkSet training =
      choose(zoo, split.training, std::size_t(run_.config.eval.references), run_.config.seed, 0);
  std::vector<std::size_t> rows(samples.rows());
  std::iota(rows.begin(), rows.end(), std::size_t(0));
  NetworkSet generated = rows_of(samples, rows);
  generated.source.clear(); // rows of another zoo
  std::optional<AssignedDistance> assigned;
  if (run_.config.eval.distance == DistanceKind::assigned)
    assigned.emplace(network("report"));
  auto drawn = draw_report(run_.out / "report", run_.out / "metrics.jsonl", read_eval(eval_path()),
                           {generated, training, assigned, zoo.format().layout, data().side});
  if (fs::exists(run_.out / "trajectories.json")) {
    drawn.push_back(run_.out / "report" / "trajectories.png");
    plane_chart(read_trajectories(run_.out / "trajectories.json")).save(drawn.back());
  }
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
  trajectories();
  finetune();
  report();
  write_page({run_.out}, run_.out / "report" / "page.html");
  journal_.line("report: " + (run_.out / "report" / "page.html").string());
}

} // namespace theta
