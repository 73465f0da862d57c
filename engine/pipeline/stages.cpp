#include "stages.h"
#include "data/atomic_file.h"
#include "data/hash.h"
#include "data/json.h"
#include "engine/analysis/novelty.h"
#include "engine/generators/pdiff_fit.h"
#include "engine/report/report.h"
#include "engine/training/interrupt.h"
#include "engine/zoo/zoo_trainer.h"
#include "eval_file.h"
#include <fmt/core.h>

namespace theta {

namespace fs = std::filesystem;

namespace {

// How many rows of the zoo generators may see, and may not, if no run diverges.
std::pair<std::size_t, std::size_t> expected_split(const ZooRecipe &r, std::uint64_t seed) {
  const auto checkpoints = checkpoint_steps(r, seed, 0).size();
  const std::size_t items = r.networks > 1 ? std::size_t(r.networks) : checkpoints,
                    each = r.networks > 1 ? checkpoints : 1;
  std::size_t held_out = 0;
  for (std::size_t i = 0; i < items; ++i)
    held_out += is_held_out(long(i), r.held_out);
  return {(items - held_out) * each, held_out * each};
}

ZooTask task_of(const Config &c) {
  return {.recipe = c.zoo.recipe,
          .network = c.network,
          .seed = c.seed,
          .storage = c.zoo.storage == "bf16" ? Dtype::bf16 : Dtype::f32};
}

std::string key_of(const fs::path &zoo) {
  if (!fs::exists(zoo / "index.json"))
    return "";
  const ZooReader reader(zoo);
  const Json facts = parse_json(reader.format().facts, zoo.string());
  return facts.value("key", "");
}

} // namespace

std::vector<MemoryPlan> plans_of(const Config &c, Backend backend) {
  const DatasetSizes sizes = fashion_mnist_sizes(c.data.pool, std::size_t(c.data.validation), c.data.folder);
  const ZooTrainer zoo(task_of(c), sizes);
  const auto [training, held_out] = expected_split(c.zoo.recipe, c.seed);
  const std::size_t parameters = layout_of(c.network).size();
  const PDiffFit fit(c.fit, parameters, training, c.seed, backend);
  const PDiffSampler sampler(c.fit, parameters, c.sample.options, backend);
  const std::size_t references = std::min({std::size_t(c.eval.references), training, held_out});
  const NoveltyJudge judge(c.network, c.eval.part == "test" ? sizes.test : sizes.validation, sizes.pixels, c.eval.wave,
                           references, std::size_t(c.eval.networks));
  std::vector<MemoryPlan> all{zoo.plan()};
  for (const auto *plan : fit.plans())
    all.push_back(*plan);
  all.push_back(sampler.plan());
  all.push_back(judge.plan());
  return all;
}

Split split_of(const ZooReader &zoo) {
  Split split;
  const auto held_out = zoo.integers("held_out");
  for (std::size_t row = 0; row < zoo.rows(); ++row)
    (held_out[row] ? split.held_out : split.training).push_back(row);
  return split;
}

namespace {

// Everything is refused before the run's folder is touched. Without a budget, the device's memory is the budget.
Run checked(Run run) {
  if (!run.memory_budget)
    for (const auto &facts : devices())
      if (facts.device == run.device)
        run.memory_budget = facts.memory;
  for (const auto &plan : plans_of(run.config, run.device.backend))
    check_budget(plan, run.memory_budget);
  return run;
}

} // namespace

Stages::Stages(Run run) : run_(checked(std::move(run))), journal_(run_.out) {
  write_file(run_.out / "config.toml", to_toml(run_.config));
}

const Dataset &Stages::data() {
  if (!data_)
    data_ =
        load_fashion_mnist(run_.config.data.pool, std::size_t(run_.config.data.validation), run_.config.data.folder);
  return *data_;
}

std::string Stages::zoo_key() {
  return hash_of("zoo 1\n" + zoo_text(run_.config) + data().fingerprint +
                 (run_.device.backend == Backend::cpu ? "cpu" : "cuda"));
}
std::string Stages::fit_key() { return hash_of("fit 1\n" + zoo_key() + fit_text(run_.config)); }
std::string Stages::sample_key() { return hash_of("sample 1\n" + fit_key() + sample_text(run_.config)); }
std::string Stages::eval_key() { return hash_of("eval 1\n" + sample_key() + eval_text(run_.config)); }

std::string Stages::facts_of(const std::string &key, const std::string &what) {
  const Config &c = run_.config;
  const Dataset &d = data();
  const Json facts = {
      {"key", key},
      {"what", what},
      {"architecture", {{"kind", "mlp"}, {"widths", c.network.widths}, {"activation", name_of(c.network.act)}}},
      {"dataset",
       {{"name", d.name},
        {"side", d.side},
        {"classes", d.classes},
        {"mean", d.mean},
        {"std", d.std},
        {"train", d.train.size()},
        {"validation", d.validation.size()},
        {"test", d.test.size()},
        {"fingerprint", d.fingerprint}}},
      {"recipe", zoo_text(c)},
      {"networks", c.zoo.recipe.networks},
      {"seed", c.seed},
      {"device", run_.device.backend == Backend::cpu ? "cpu" : "cuda"}};
  return facts.dump();
}

void Stages::zoo() {
  const std::string key = zoo_key();
  if (key_of(zoo_path()) == key) {
    fs::remove(zoo_path() / ".state.safetensors");
    return journal_.line("zoo: done before, skipped");
  }
  const Dataset &d = data();
  ZooTask task = task_of(run_.config);
  task.directory = zoo_path(), task.facts = facts_of(key, "trained"), task.key = key;
  ZooTrainer trainer(std::move(task), {d.train.size(), d.validation.size(), d.test.size(), d.pixels(), d.classes});
  trainer.run(run_.device, d, journal_);
}

void Stages::fit() {
  const std::string key = fit_key();
  const fs::path state = run_.out / ".generator.state.safetensors";
  if (generator_key(generator_path()) == key) {
    fs::remove(state);
    return journal_.line("fit: done before, skipped");
  }
  const ZooReader zoo(zoo_path());
  const Split split = split_of(zoo);
  PDiffFit fit(run_.config.fit, zoo.parameters(), split.training.size(), run_.config.seed, run_.device.backend);
  const PDiff trained = fit.run(run_.device, zoo, split.training, state, key, journal_);
  save_pdiff(generator_path(), trained, key);
  fs::remove(state);
  journal_.line(fmt::format("fit: learned {} networks of {} parameters, in {}", split.training.size(), zoo.parameters(),
                            generator_path().string()));
}

void Stages::sample() {
  const std::string key = sample_key();
  if (key_of(samples_path()) == key)
    return journal_.line("sample: done before, skipped");
  const Config &c = run_.config;
  const PDiff generator = load_pdiff(generator_path());
  PDiffSampler sampler(generator.config, generator.networks.parameters, c.sample.options, run_.device.backend);
  std::vector<float> samples;
  {
    Progress progress(journal_, "sample", "networks", c.sample.count);
    sampler.run(run_.device, generator, std::size_t(c.sample.count),
                [&](std::size_t first, std::size_t count, const float *theta) {
                  samples.insert(samples.end(), theta, theta + count * generator.networks.parameters);
                  progress.update(double(first + count));
                });
  }
  const Dataset &d = data();
  MemoryPlan plan("sample.scores");
  Evaluator evaluator(c.network, d.test.size(), d.pixels(), c.eval.wave);
  evaluator.plan(plan);
  plan.place();
  check_budget(plan, run_.memory_budget);
  Stream stream(run_.device);
  const Arena arena(run_.device, plan);
  evaluator.bind(arena);
  evaluator.upload(stream, d, d.test);
  const Scores scores = evaluator.score_all(stream, samples.data(), std::size_t(c.sample.count));
  ZooFormat format{generator.networks.layout,
                   generator.networks.parameters,
                   Dtype::f32,
                   {{"sample", Dtype::i64}, {"test_loss", Dtype::f32}, {"test_accuracy", Dtype::f32}},
                   facts_of(key, "generated")};
  ZooWriter writer(samples_path(), format, std::size_t(1) << 40);
  for (std::size_t i = 0; i < scores.loss.size(); ++i)
    writer.append(samples.data() + i * format.parameters,
                  {std::int64_t(i), double(scores.loss[i]), double(scores.accuracy[i])});
  writer.finish();
  journal_.line(fmt::format("sample: {} networks, mean test accuracy {:.2f} %, in {}", c.sample.count,
                            100 * summarise(scores.accuracy).mean, samples_path().string()));
}

void Stages::eval() {
  const std::string key = eval_key();
  if (eval_key_of(eval_path()) == key) {
    journal_.line("eval: done before, skipped");
    return journal_.result(table_of(read_eval(eval_path())));
  }
  const Config &c = run_.config;
  const EvalConfig &e = c.eval;
  const ZooReader zoo(zoo_path()), samples(samples_path());
  const Split split = split_of(zoo);
  const std::size_t references = std::min({std::size_t(e.references), split.training.size(), split.held_out.size()});
  if (references < 2)
    throw InputError("eval: found ", split.training.size(), " training and ", split.held_out.size(),
                     " held-out networks, expected at least 2 of each (zoo.held_out)");
  const Dataset &d = data();
  const Images &part = e.part == "test" ? d.test : d.validation;
  const std::size_t group = std::size_t(e.networks);
  NoveltyJudge judge(c.network, part.size(), d.pixels(), e.wave, references, group);
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
  add("gaussian", gaussians(zoo, split.training, group, c.seed));
  write_eval(eval_path(), reports, key);
  journal_.result(table_of(reports));
}

void Stages::report() {
  const ZooReader zoo(zoo_path()), samples(samples_path());
  const auto drawn =
      draw_report(run_.out / "report", run_.out / "metrics.jsonl", read_eval(eval_path()), zoo, samples, data().side);
  for (const auto &path : drawn)
    journal_.line("report: " + path.string());
}

void Stages::all() {
  zoo();
  fit();
  sample();
  eval();
  report();
}

} // namespace theta
