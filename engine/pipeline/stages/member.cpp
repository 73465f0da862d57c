#include "member.h"
#include "data/atomic_file.h"
#include "data/json.h"
#include "engine/generators/generator_file.h"
#include "engine/networks/subset.h"
#include "engine/settings/toml_keys.h"
#include "engine/shapes/mesh_signals.h"
#include "kernels/device/parallel.h"

namespace theta {

namespace fs = std::filesystem;

namespace {

// What the numbers in a column of choices stand for.
std::vector<std::string> texts_of(std::span<const char *const> names) { return {names.begin(), names.end()}; }

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
    if (run.stage.empty() || plan.stage() == run.stage)
      check_budget(plan, run.device.backend, run.memory_budget);
  return {std::move(run), std::move(plans)};
}

std::string settings_of_samples(const Config &c) { return zoo_text(c) + fit_text(c) + sample_text(c); }

} // namespace

fs::path locked(bool writes, std::optional<FolderLock> &lock, const fs::path &folder) {
  if (!writes)
    return {};
  lock.emplace(folder);
  return folder;
}

Member::Member(Run run, std::string name, bool is_seen) : Member(checked(std::move(run)), std::move(name), is_seen) {}

Member::Member(std::pair<Run, std::vector<MemoryPlan>> checked, std::string name, bool is_seen)
    : run_(std::move(checked.first)), plans_(std::move(checked.second)), name_(std::move(name)), is_seen_(is_seen),
      source_(source_of(run_.config, dataset_sizes(run_.config.data.options()))),
      journal_(locked(run_.writes, lock_, run_.out), Journal::Without::terminal) {
  if (auto &shape = source_.facts.shape)
    shape = on_trunk_of(*shape, zoo_path());
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

const Dataset &Member::data() {
  if (!data_)
    data_ =
        load_signals(run_.device, run_.config.data.options(), [&](const std::string &line) { journal_.line(line); });
  return *data_;
}

fs::path Member::zoo_path() const {
  if (const std::string &from = run_.config.zoo.from; !from.empty())
    return from;
  return run_.zoo.empty() ? run_.out / "zoo" : run_.zoo;
}

fs::path Member::generator_path() const {
  return run_.generator.empty() ? run_.out / "generator.safetensors" : run_.generator;
}

fs::path Member::line_path() const { return generator_path().parent_path() / "line.safetensors"; }

const NetworkShape &Member::shape(const char *stage) const {
  if (!task())
    throw InputError(stage, ": ", zoo_path().string(), " holds networks that cannot be run on ", run_.config.data.name,
                     "; expected classifiers of its pixels and classes");
  return *source_.facts.shape;
}

void Member::check_scores(const char *stage) const {
  if (!scores())
    throw InputError(stage, ": ", zoo_path().string(), " holds networks without an accuracy on ", run_.config.data.name,
                     "; expected classifiers of its pixels and classes");
}

std::unique_ptr<Scorer> Member::scorer(const char *stage, std::size_t images) const {
  check_scores(stage);
  return std::make_unique<Scorer>(shape(stage), images, run_.config.eval.wave, run_.device.backend, run_.memory_budget);
}

std::pair<Scores, std::vector<char>> Member::score(const char *stage, std::size_t parameters,
                                                   const NetworkSet &networks, bool validation) {
  const Images &part = validation ? data().validation : data().test;
  const auto scorer = this->scorer(stage, part.size());
  if (const std::size_t v = layout_of(shape(stage)).size(); parameters != v)
    throw InputError(stage, ": ", generator_path().string(), " generates networks of ", parameters,
                     " parameters, expected ", v, ", as the configuration has; `theta fit` makes another");
  return scorer->score(run_.device, data(), part, networks.count, networks.network);
}

void Member::check_made(const char *stage, const fs::path &what, bool same, const std::string &found,
                        const std::string &expected, const char *again) const {
  if (same)
    return;
  const std::string difference = difference_of(found, expected);
  throw InputError(stage, ": ", what.string(), " was made with other settings: ",
                   difference.empty() ? "other data, another device or another version" : difference, "; `theta ",
                   again, "` makes it anew");
}

void Member::check_zoo(const char *stage) {
  if (!run_.config.zoo.from.empty() || !fs::exists(zoo_path() / "index.json"))
    return; // the reader says so
  if (const auto part = read_part(zoo_path()))
    throw InputError(stage, ": ", zoo_path().string(), ": found part ", part->number, " of ", part->of,
                     " of a zoo, expected all of it (`theta zoo join`)");
  const Json facts = parse_json(ZooReader(zoo_path()).format().facts, zoo_path().string());
  check_made(stage, zoo_path(), facts.value("key", "") == key("zoo"), facts.value("recipe", ""), zoo_text(config()),
             "zoo train");
}

void Member::check_generator(const char *stage) {
  if (fs::exists(generator_path()))
    check_made(stage, generator_path(), generator_key(generator_path()) == key("fit"),
               generator_settings(generator_path()), zoo_text(config()) + fit_text(config()), "fit");
}

void Member::check_samples(const char *stage) {
  if (!fs::exists(samples_path() / "index.json"))
    return;
  const Json facts = parse_json(ZooReader(samples_path()).format().facts, samples_path().string());
  check_made(stage, samples_path(), facts.value("key", "") == key("sample"), facts.value("settings", ""),
             settings_of_samples(config()), "sample");
}

std::string Member::facts_of(const std::string &key, const std::string &what) {
  const Config &c = run_.config;
  const Dataset &d = data();
  Json facts = {{"key", key},
                {"what", what},
                {"architecture", source_.facts.shape ? parse_json(architecture_of(*source_.facts.shape), "architecture")
                                                     : Json{{"kind", "unknown"}}},
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
  if (!d.text.classes.empty()) {
    facts["dataset"]["names"] = d.text.classes;
    for (const std::string &each : d.text.alphabet)
      facts["dataset"]["alphabet"].push_back(std::uint8_t(each[0]));
  }
  if (what == "generated")
    facts["settings"] = settings_of_samples(c);
  return facts.dump();
}

} // namespace theta
