#include "zoo_trainer.h"
#include "data/hash.h"
#include "data/json.h"
#include "data/zoo_reader.h"
#include "engine/memory/arena.h"
#include "engine/networks/subset.h"
#include "engine/settings/toml_keys.h"
#include "engine/training/interrupt.h"
#include <algorithm>
#include <cmath>
#include <fmt/core.h>
#include <future>
#include <map>
#include <numeric>

namespace theta {

namespace fs = std::filesystem;

namespace {

// On a GPU, enough to fill it. Networks on one trunk share what it computes.
int evaluated_at_once(Backend backend) { return backend == Backend::cpu ? 64 : 1024; }
constexpr const char *state_name = ".state.safetensors", *rows_name = ".rows";

// The largest wave that is within the budget.
int wave_within(const ZooTask &task, const DatasetSizes &sizes, Backend backend, Budget budget) {
  return most_within(budget, std::min(task.recipe.wave, task.recipe.networks), [&](int networks) {
    ZooTask of = task;
    of.recipe.wave = networks;
    return ZooTrainer(of, sizes, backend).plan().bytes_on(backend);
  });
}

// A subset's networks, on the trunk that the zoo is to have unless they are on one already.
ZooTask placed(ZooTask task) {
  if (is_subset(task.network) && !has_trunk(task.network))
    task.network = on_trunk_of(task.network, task.directory);
  return task;
}

// Trains the trunk of a zoo's networks.
ZooTask trunk_task(ZooTask task) {
  task.network = NetworkShape(whole_of(task.network));
  ZooRecipe &r = task.recipe;
  r.networks = r.wave = 1, r.steps = r.trunk.steps, r.checkpoints = CheckpointKind::last, r.count = 1, r.held_out = 0;
  r.start = StartKind::own, r.mixture = {};
  if (r.trunk.batch > 0)
    r.batch = r.trunk.batch;
  if (r.trunk.lr > 0)
    r.lr = r.trunk.lr;
  r.trunk = {};
  task.part = {}, task.storage = Dtype::f32, task.directory /= trunk_folder, task.name += ".trunk";
  return task;
}

// Of all that it depends on, and no more: another zoo on the same trunk finds it there.
std::string key_of_trunk(const ZooTask &trunk, const Dataset &data, Backend backend) {
  ZooRecipe r = trunk.recipe;
  return hash_of("trunk 1\n" + text(trunk.seed, "\n") + toml_text([&](Keys &keys) { describe(keys, r); }) +
                 architecture_of(trunk.network) + name_of(trunk.network.initialisation) + data.fingerprint +
                 (backend == Backend::cpu ? "cpu" : "cuda"));
}

} // namespace

// A wave after its last step: its rows in staging memory and what the columns say of them.
struct ZooTrainer::Finished {
  int first_run = 0;
  const float *rows = nullptr; // [networks, checkpoints, V]; null where a file has them
  std::vector<RunChoice> choices;
  std::vector<std::int32_t> due, diverged;
  std::vector<float> train_loss;                                         // [networks, checkpoints]
  std::vector<std::pair<std::vector<float>, std::vector<float>>> scores; // loss and quality on every part, likewise
};

struct ZooTrainer::Work {
  const Dataset &data;
  Stream stream;
  Arena arena;
  Examples examples;
  Wave &open;
  Evaluator &evaluator;
  ZooWriter writer;
  std::unique_ptr<WorkFile> file{}; // of the open wave's rows, where memory does not hold them
  int first_run = 0, dropped = 0;
  std::future<void> being_written{}; // the wave before

  // Waits until the wave before is a shard. Throws what its writing threw.
  void settle() {
    if (being_written.valid())
      being_written.get();
  }
};

ZooTrainer::ZooTrainer(ZooTask task, const DatasetSizes &sizes, Backend backend, Budget budget)
    : task_(placed(task)), sizes_(sizes), backend_(backend), wave_(wave_within(task_, sizes, backend, budget)),
      open_(task_.recipe, task_.network, wave_, task_.seed, task_.storage == Dtype::bf16, backend,
            trainer_for(backend, task_.network, task_.recipe), task_.most_row_bytes),
      evaluator_(
          task_.network, most_images(learning_of(task_.network).scored_on(sizes)),
          std::min(is_subset(task_.network) ? wave_ * int(open_.checkpoints()) : wave_, evaluated_at_once(backend)),
          backend, trainer_for(backend, task_.network, 1)),
      plan_(task_.name, "zoo.wave"), examples_(learning_of(task_.network).part(task_.network, sizes)),
      scored_on_(learning_of(task_.network).scored_on(sizes)) {
  if (is_subset(task.network) && !has_trunk(task.network))
    trunk_ = std::make_unique<ZooTrainer>(trunk_task(task), sizes, backend);
  check_fits(task_.network, sizes);
  if (open_.needs_file() && task_.network.form.kind != FormKind::floats)
    throw InputError("network.form: found ", name_of(task_.network.form.kind), ", expected floats: a run's rows, of ",
                     open_.parameters(), " parameters each, are more than memory should hold");
  if (task_.recipe.start == StartKind::base)
    base_ = std::make_unique<BaseTrainer>(task_.recipe, task_.network, task_.seed, sizes, backend);
  examples_->plan(plan_);
  open_.plan(plan_);
  for (const int i : {0, 1})
    if (!open_.needs_file())
      staging_[std::size_t(i)] = plan_.reserve<float>(
          fmt::format("zoo.staging.{}", i), MemoryClass::staging,
          {wave_, std::int64_t(open_.checkpoints()), std::int64_t(open_.parameters())}, "zoo.wave, zoo.count");
  evaluator_.plan(plan_);
  plan_.place();
}

std::vector<MemoryPlan> ZooTrainer::plans_before() const {
  std::vector<MemoryPlan> all;
  if (base_)
    all.push_back(base_->plan());
  if (trunk_)
    all.push_back(trunk_->plan());
  return all;
}

std::vector<float> ZooTrainer::train_trunk(Device device, const Dataset &data, Journal &journal) {
  ZooTask &of = trunk_->task_;
  of.key = key_of_trunk(of, data, backend_);
  of.facts = Json{{"what", "trunk"},
                  {"key", of.key},
                  {"architecture", parse_json(architecture_of(of.network), "architecture")}}
                 .dump();
  const auto is_there = [&] {
    return fs::exists(of.directory / "index.json") &&
           parse_json(ZooReader(of.directory).format().facts, "trunk").value("key", "") == of.key;
  };
  if (!is_there())
    trunk_->run(device, data, journal);
  const ZooReader zoo(of.directory);
  journal.line(
      fmt::format("{}: {} = {:.4f}", of.name, scored_on_.front().quality, zoo.floats(scored_on_.front().quality)[0]));
  return row_of_trunk(task_.network);
}

ZooFormat ZooTrainer::format() const {
  ZooFormat format{open_.layout().places(), open_.parameters(), task_.storage, {}, task_.facts};
  store_in_form(format, task_.network);
  for (const char *name : {"run", "step", "held_out", "optimizer", "activation", "initialisation"})
    format.columns.push_back({name, Dtype::i64});
  const auto learned = learning_of(task_.network).columns(sizes_);
  format.columns.insert(format.columns.end(), learned.begin(), learned.end());
  std::vector<const char *> numbers{"train_loss"};
  for (const ScoredPart &part : scored_on_)
    numbers.insert(numbers.end(), {part.loss, part.quality});
  for (const char *name : {"lr", "momentum", "weight_decay", "label_smoothing", "label_noise", "dropout"})
    numbers.push_back(name);
  for (const char *name : numbers)
    format.columns.push_back({name, Dtype::f32});
  return format;
}

double ZooTrainer::row_bytes() const {
  return double(theta::row_bytes(format())) + 16 * 8; // and at most so many columns
}

// Room for the shards that are to come, and for a state beside the one it replaces.
void ZooTrainer::check_disk(int first_run) const {
  const double rows = double(task_.part.end(task_.recipe) - first_run) * double(open_.checkpoints());
  const double twice = open_.needs_file() ? 1 : 2; // a state holds no row that a file has
  const double state = wave_ * (6 + twice * double(open_.checkpoints())) * double(open_.parameters()) * sizeof(float);
  const auto wanted = std::size_t(rows * row_bytes() + state),
             found = std::size_t(fs::space(task_.directory).available);
  if (found < wanted)
    throw Error(task_.directory.string(), ": found ", text_of_bytes(found), " free on its disk, expected ",
                text_of_bytes(wanted), " for the zoo that is to come");
}

// Loss and accuracy on one part of every row of the runs that did not diverge. Throws Interrupted when asked to stop.
void ZooTrainer::score(Work &w, std::size_t part, Finished &f) const {
  auto &[loss, quality] = f.scores[part];
  examples_->score_on(w.evaluator, w.stream, w.data, w.examples, part);
  const std::size_t v = open_.parameters(), checkpoints = open_.checkpoints();
  std::vector<std::size_t> rows;
  for (std::size_t row = 0; row < f.due.size(); ++row)
    if (!f.diverged[row / checkpoints])
      rows.push_back(row);
  for (std::size_t first = 0; first < rows.size(); first += std::size_t(w.evaluator.wave())) {
    if (interrupted()) {
      save(w, task_.recipe.steps);
      throw Interrupted(task_.name, ": stopped while scoring wave ", number_of(w.first_run),
                        "; the same command continues it");
    }
    const std::size_t count = std::min(std::size_t(w.evaluator.wave()), rows.size() - first);
    ScoredRuns of;
    for (std::size_t j = 0; j < count; ++j) {
      const std::size_t row = rows[first + j];
      w.open.row_to(w.stream, row, w.evaluator.theta() + j * v);
      const long run = f.first_run + long(row / checkpoints);
      of.activations.push_back(f.choices[row / checkpoints].recipe.act);
      of.signals.push_back(examples_->signal_of(run));
      const auto shares = examples_->shares(task_.recipe, task_.seed, run);
      of.shares.insert(of.shares.end(), shares.begin(), shares.end());
    }
    Scores scores;
    w.evaluator.score(w.stream, int(count), scores, of);
    for (std::size_t j = 0; j < count; ++j)
      loss[rows[first + j]] = scores.loss[j], quality[rows[first + j]] = scores.accuracy[j];
  }
}

ZooTrainer::Finished ZooTrainer::finish_wave(Work &w) const {
  const std::size_t rows = w.open.due().size();
  w.open.put_in_form(w.stream);
  Finished f{.first_run = w.first_run,
             .choices = w.open.choices(),
             .due = w.open.updates(w.stream),
             .diverged = w.open.diverged(w.stream),
             .train_loss = w.open.row_losses(w.stream),
             .scores = {scored_on_.size(), {std::vector<float>(rows), std::vector<float>(rows)}}};
  for (std::size_t part = 0; part < scored_on_.size(); ++part)
    score(w, part, f);
  if (!w.file) {
    float *staging = staging_[std::size_t(number_of(w.first_run)) % 2];
    for (std::size_t row = 0; row < rows; ++row)
      w.open.row_to(w.stream, row, staging + row * open_.parameters());
    w.stream.synchronize();
    f.rows = staging;
  }
  w.dropped += int(std::count(f.diverged.begin(), f.diverged.end(), 1));
  return f;
}

// The wave's rows as a shard, less the runs that diverged.
void ZooTrainer::write(const Finished &f, Work &w) const {
  const std::size_t v = open_.parameters();
  std::vector<float> part(f.rows ? 0 : std::min(v, std::size_t(1) << 18));
  std::size_t written = 0; // of the shard
  for (std::size_t row = 0; row < f.due.size(); ++row) {
    const std::size_t i = row / open_.checkpoints(), k = row % open_.checkpoints();
    if (f.diverged[i])
      continue;
    const int run = f.first_run + int(i);
    const bool held_out = is_held_out(task_.recipe.networks > 1 ? run : long(k), task_.recipe.held_out);
    const RunRecipe &r = f.choices[i].recipe;
    std::vector<ColumnValue> values{std::int64_t(run),      std::int64_t(f.due[row]),
                                    std::int64_t(held_out), std::int64_t(r.optimizer),
                                    std::int64_t(r.act),    std::int64_t(f.choices[i].initialisation)};
    const auto facts = examples_->facts(task_.recipe, task_.seed, run, w.data);
    values.insert(values.end(), facts.begin(), facts.end());
    values.emplace_back(double(f.train_loss[row]));
    for (const auto &[loss, quality] : f.scores)
      values.insert(values.end(), {double(loss[row]), double(quality[row])});
    for (const float value : {r.lr, r.momentum, r.weight_decay, r.label_smoothing, r.label_noise, r.dropout})
      values.emplace_back(double(value));
    if (f.rows) {
      w.writer.append(f.rows + row * v, values);
      continue;
    }
    for (std::size_t first = 0; first < v; first += part.size()) {
      const std::size_t n = std::min(part.size(), v - first);
      w.file->read((row * v + first) * sizeof(float), part.data(), n * sizeof(float));
      w.writer.write(written, first, n, part.data());
    }
    w.writer.describe(values);
    ++written;
  }
  w.writer.publish_shard();
}

// Leaves what a later run continues from: the open wave after `step` steps; all waves before it are shards by then.
void ZooTrainer::save(Work &w, long step) const {
  w.settle();
  save_state(task_.directory / state_name, {.key = task_.key,
                                            .count = {{"first_run", w.first_run},
                                                      {"networks", networks_of(w.first_run)},
                                                      {"step", step},
                                                      {"shards", long(w.writer.shards())},
                                                      {"dropped", w.dropped}},
                                            .tensors = w.open.save(w.stream, step)});
}

// How far the zoo is and how fast, and when its state was saved last.
struct ZooTrainer::Told {
  using Clock = std::chrono::steady_clock;
  Progress progress;
  double first, steps,
      images; // network-steps that were there before; steps of a run; images of a step, where it has some
  Clock::time_point start = Clock::now(), saved = start;
  double save_every = 10;

  static double since(Clock::time_point t) { return std::chrono::duration<double>(Clock::now() - t).count(); }
  void update(double done, double bytes) {
    const double rate = (done - first) / since(start); // network-steps
    progress.update(done, fmt::format("{}{:.4g} networks/s, {:.3g} GB written",
                                      images > 0 ? fmt::format("{:.4g} images/s, ", rate * images) : "", rate / steps,
                                      bytes / 1e9));
  }
  bool save_is_due() const { return since(saved) > save_every; }
  template <class F> void time_of_saving(F save) {
    const auto before = Clock::now();
    save();
    saved = Clock::now();
    save_every = std::max(10.0, 50 * since(before)); // at most 2 % of the time
  }
};

// Trains the open wave from `step` to its end. Throws Interrupted when asked to stop.
void ZooTrainer::train(Work &w, long step, Journal &journal, Told &told) const {
  const ZooRecipe &r = task_.recipe;
  const long report_every = std::clamp(r.steps / 100, 1L, 50L); // steps between lines of metrics
  while (step < r.steps) {
    const long next = std::min({step + w.open.chunk(), r.steps, (step / report_every + 1) * report_every});
    const Span span("zoo.steps");
    w.open.train(w.stream, w.examples, step, next);
    step = next;
    if (step % report_every == 0 || step == r.steps) {
      auto losses = w.open.losses(w.stream);
      std::erase_if(losses, [](float loss) { return !std::isfinite(loss); }); // of runs that diverge
      if (losses.empty())
        throw Error(task_.name, ": the loss of every run of wave ", number_of(w.first_run), " is not finite at step ",
                    step, " of ", r.steps, "; a smaller zoo.lr usually helps");
      journal.metrics(task_.name, steps_of_waves(w.first_run) + step,
                      {{"train_loss", std::accumulate(losses.begin(), losses.end(), 0.0) / double(losses.size())}});
    }
    told.update(steps_before(w.first_run, step),
                double(w.first_run - task_.part.begin(r)) * double(open_.checkpoints()) * row_bytes());
    if (interrupted()) {
      save(w, step);
      throw Interrupted(task_.name, ": stopped in wave ", number_of(w.first_run), " of ", number_of(r.networks - 1),
                        " after step ", step, " of ", r.steps, "; the same command continues it");
    }
    if (told.save_is_due())
      told.time_of_saving([&] { save(w, step); });
  }
}

double ZooTrainer::steps_before(int first_run, long step) const {
  return double(first_run - task_.part.begin(task_.recipe)) * double(task_.recipe.steps) +
         double(networks_of(first_run)) * double(step);
}

ZooOutcome ZooTrainer::run(Device device, const Dataset &data, Journal &journal) {
  const ZooRecipe &r = task_.recipe;
  fs::create_directories(task_.directory);
  if (!task_.part.is_whole())
    write_part(task_.directory, task_.part);
  const auto state = load_state(task_.directory / state_name, task_.key);
  const int begin = task_.part.begin(r), end = task_.part.end(r);
  const int first_run = state ? int(state->number("first_run")) : begin;
  check_disk(first_run);
  const std::string base_key = "base\n" + task_.key;
  const fs::path base_state = task_.directory / base_name;
  std::vector<float> base;
  if (base_) {
    base = base_->run(device, data, base_state, base_key, journal);
    save_state(base_state, {base_key, {{"round", r.base.rounds}}, {state_of("base", base)}});
  }
  if (trunk_)
    base = train_trunk(device, data, journal);
  const bool from_base = base_ || (trunk_ && r.start == StartKind::trunk);
  Work w{.data = data,
         .stream = Stream(device),
         .arena = Arena(device, plan_),
         .examples = {},
         .open = open_,
         .evaluator = evaluator_,
         .writer = ZooWriter(task_.directory, format(), std::size_t(1) << 40,
                             state ? std::size_t(state->number("shards")) : 0)};
  w.examples = examples_->upload(w.stream, data);
  if (trainer_for(backend_, task_.network, r) == TrainerKind::layer_by_layer)
    journal.line(text(task_.name, ": such networks do not fit into a ",
                      backend_ == Backend::cuda ? "multiprocessor's shared memory" : "core's cache",
                      ": trained layer by layer, ", wave_, " at a time"));

  long step = 0;
  std::optional<ZooReader> starts;
  if (!task_.start.empty()) {
    starts.emplace(task_.start);
    if (starts->parameters() != open_.parameters() || starts->rows() == 0)
      throw InputError("zoo: ", task_.start.string(), ": found ", starts->rows(), " networks of ", starts->parameters(),
                       " parameters to begin as, expected some of ", open_.parameters());
  }
  const auto start_wave = [&](int run) {
    w.first_run = run, step = 0;
    w.open.start(w.stream, run, networks_of(run), from_base ? &base : nullptr);
    std::vector<float> theta(open_.parameters());
    for (int i = 0; starts && i < networks_of(run); ++i) {
      starts->theta(std::size_t(run + i) % starts->rows(), theta.data());
      w.open.begin_as(w.stream, i, theta.data());
    }
  };
  // What a smaller budget divides into other waves begins its open one again.
  const bool same = state && state->number("networks") == networks_of(first_run) &&
                    (!open_.needs_file() || fs::exists(task_.directory / rows_name));
  if (open_.needs_file()) {
    w.file = std::make_unique<WorkFile>(task_.directory / rows_name, !same);
    w.open.keep_rows_in(w.file.get());
  }
  start_wave(first_run);
  if (state)
    w.dropped = int(state->number("dropped"));
  if (same)
    step = state->number("step"), w.open.load(w.stream, *state);
  journal.rewind_metrics(task_.name, steps_of_waves(first_run) + step);
  const double done = steps_before(first_run, step);
  Told told{.progress = Progress(journal, task_.name, r.stop_psnr > 0 ? "allotted network-steps" : "network-steps",
                                 double(end - begin) * double(r.steps), done),
            .first = done,
            .steps = double(r.steps),
            .images = scored_on_.front().images > 0 ? double(r.batch) : 0};
  for (int run = first_run; run < end; run += wave_) {
    if (run > first_run)
      start_wave(run);
    train(w, step, journal, told);
    Finished finished = finish_wave(w);
    w.settle();
    if (w.file)
      write(finished, w);
    else
      w.being_written = std::async(std::launch::async, [this, &w, f = std::move(finished)] { write(f, w); });
  }
  w.settle();
  if (w.writer.rows() == 0)
    throw Error(task_.name, ": all ", end - begin, " runs diverged; a smaller zoo.lr may help");
  w.writer.finish();
  w.file.reset();
  for (const char *name : {state_name, rows_name})
    fs::remove(task_.directory / name);
  const ZooOutcome outcome{w.writer.rows(), w.dropped};
  journal.line(fmt::format("{}: {} rows of {} runs ({} diverged and dropped) in {}", task_.name, outcome.rows,
                           end - begin, outcome.dropped, task_.directory.string()));
  if (r.stop_psnr > 0) {
    std::map<std::int64_t, std::int64_t> updates; // of a run's last row
    const ZooReader zoo(task_.directory);
    const auto of_run = zoo.integers("run"), step = zoo.integers("step");
    for (std::size_t row = 0; row < zoo.rows(); ++row)
      updates[of_run[row]] = std::max(updates[of_run[row]], step[row]);
    double sum = 0;
    for (const auto &[run, made] : updates)
      sum += double(made);
    journal.line(fmt::format("zoo: with {} dB reached, runs ended after {:.1f} of {} steps in the mean", r.stop_psnr,
                             sum / double(updates.size()), r.steps));
  }
  return outcome;
}

} // namespace theta
