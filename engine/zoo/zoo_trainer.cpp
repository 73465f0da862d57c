#include "zoo_trainer.h"
#include "data/zoo.h"
#include "engine/training/step_loop.h"
#include "kernels/gather.h"
#include "kernels/optimizer.h"
#include "kernels/random.h"
#include "kernels/reduce.h"
#include "kernels/softmax_cross_entropy.h"
#include <algorithm>
#include <cmath>

namespace theta {

namespace {

constexpr int evaluated_at_once = 64;
constexpr const char *state_name = ".state.safetensors";

} // namespace

struct ZooTrainer::Work {
  Stream stream;
  Arena arena;
  const Dataset &data;
  Mlp<float> mlp;
  Evaluator evaluator;
  int wave = 0, networks = 0;
  std::vector<std::vector<long>> due; // the checkpoint steps of each network of the wave
  // One value a checkpoint, [networks, checkpoints]; a diverged network's are never written.
  std::vector<float> train_loss, test_loss, test_accuracy;
  std::vector<float> diverged; // 0 or 1 a network
};

ZooTrainer::ZooTrainer(ZooTask task, const DatasetSizes &sizes)
    : task_(std::move(task)), sizes_(sizes), wave_(std::min(task_.recipe.wave, task_.recipe.networks)),
      checkpoints_(checkpoint_steps(task_.recipe, task_.seed, 0).size()), mlp_(task_.network),
      evaluator_(task_.network, sizes.test, sizes.pixels, std::min(wave_, evaluated_at_once)) {
  if (mlp_.inputs() != sizes.pixels || mlp_.outputs() != sizes.classes)
    throw InputError("network.widths: found ", mlp_.inputs(), " inputs and ", mlp_.outputs(),
                     " outputs, but the data has ", sizes.pixels, " pixels and ", sizes.classes, " classes");
  if (checkpoints_ == 0)
    throw InputError("zoo.count: found ", task_.recipe.count, ": no step of ", task_.recipe.steps, " would be kept");
  make_plan();
}

void ZooTrainer::make_plan() {
  const std::int64_t n = wave_, v = std::int64_t(mlp_.layout().size()), b = task_.recipe.batch;
  const auto train = std::int64_t(sizes_.train);
  const auto vector = [&](const char *name, MemoryClass kind) {
    return plan_.reserve<float>(name, kind, {n, v}, "zoo.wave");
  };
  images_ = plan_.reserve<std::uint8_t>("zoo.images", MemoryClass::data, {train, sizes_.pixels}, "data.pool");
  labels_ = plan_.reserve<std::uint8_t>("zoo.labels", MemoryClass::data, {train});
  bounds_ = plan_.reserve<float>("zoo.bounds", MemoryClass::workspace, {v});
  theta_ = vector("zoo.theta", MemoryClass::weights);
  gradient_ = vector("zoo.gradient", MemoryClass::gradients);
  moment1_ = vector("zoo.moment1", MemoryClass::optimizer);
  if (task_.recipe.optimizer != OptimizerKind::sgd)
    moment2_ = vector("zoo.moment2", MemoryClass::optimizer);
  loss_ = plan_.reserve<float>("zoo.loss", MemoryClass::workspace, {n});
  largest_ = plan_.reserve<float>("zoo.largest", MemoryClass::workspace, {n});
  rows_ = plan_.reserve<float>("zoo.rows", MemoryClass::staging, {n, std::int64_t(checkpoints_), v},
                               "zoo.wave or zoo.count");
  x_ = plan_.reserve<float>("zoo.x", MemoryClass::activations, {n, b, sizes_.pixels}, "zoo.wave or zoo.batch");
  batch_labels_ = plan_.reserve<std::uint8_t>("zoo.batch_labels", MemoryClass::activations, {n, b});
  row_loss_ = plan_.reserve<float>("zoo.row_loss", MemoryClass::activations, {n, b});
  mlp_.plan(plan_, true, wave_, task_.recipe.batch);
  for (const Slot slot : {x_, batch_labels_, row_loss_})
    plan_.release(slot); // evaluation comes between steps
  evaluator_.plan(plan_);
  plan_.place();
}

void ZooTrainer::start_wave(Work &w, int wave) const {
  Stream &s = w.stream;
  const std::size_t v = mlp_.layout().size(), rows = std::size_t(wave_) * checkpoints_;
  w.wave = wave, w.networks = size_of(wave);
  w.due.clear();
  for (int i = 0; i < w.networks; ++i)
    w.due.push_back(checkpoint_steps(task_.recipe, task_.seed, first_of(wave) + i));
  w.train_loss.assign(rows, 0), w.test_loss = w.test_accuracy = w.train_loss;
  w.diverged.assign(std::size_t(wave_), 0);
  const auto bounds = mlp_.layout().bounds();
  copy(s, w.arena.at<float>(bounds_), bounds.data(), v * sizeof(float));
  fill_uniform<float>(s, w.arena.at<float>(theta_), w.arena.at<float>(bounds_), w.networks, v,
                      {task_.seed, Purpose::initialisation, std::uint32_t(first_of(wave))});
  for (const Slot zero : {gradient_, moment1_, moment2_})
    if (zero)
      fill_zero(s, w.arena.at<float>(zero), std::size_t(wave_) * v * sizeof(float));
  fill_zero(s, w.arena.at<float>(loss_), std::size_t(wave_) * sizeof(float));
  std::fill_n(w.arena.at<float>(rows_), rows * v, 0.0f);
  s.synchronize();
}

// The losses of the mini-batch of update `step` (counted from 1), and what backward needs.
void ZooTrainer::compute_losses(Work &w, long step) const {
  Stream &s = w.stream;
  const Arena &a = w.arena;
  const int batch = task_.recipe.batch;
  const BatchOrder order{
      wave_, batch, std::uint32_t(sizes_.train), task_.seed, std::uint32_t(first_of(w.wave)), std::uint64_t(step - 1)};
  gather_images<float>(s, a.at<float>(x_), a.at<std::uint8_t>(batch_labels_), a.at<std::uint8_t>(images_),
                       a.at<std::uint8_t>(labels_), sizes_.pixels, w.data.scale(), w.data.shift(), order);
  float *logits = w.mlp.forward(s, a.at<float>(theta_), a.at<float>(x_));
  softmax_cross_entropy<float>(s, a.at<float>(row_loss_), logits, logits, a.at<std::uint8_t>(batch_labels_),
                               {wave_ * batch, mlp_.outputs(), wave_ * batch, 0, 1.0 / batch});
  fill_zero(s, a.at<float>(loss_), std::size_t(wave_) * sizeof(float));
  row_sum<float>(s, a.at<float>(loss_), a.at<float>(row_loss_), wave_, std::size_t(batch), 1.0 / batch);
  w.mlp.backward(s, a.at<float>(theta_), a.at<float>(gradient_), logits, a.at<float>(x_));
}

void ZooTrainer::train_step(Work &w, long step) const {
  const ZooRecipe &r = task_.recipe;
  compute_losses(w, step);
  const double lr = r.lr * LrSchedule{r.schedule, r.steps, r.schedule_every, r.schedule_gamma}.at(step - 1);
  const std::size_t n = std::size_t(wave_) * mlp_.layout().size();
  float *theta = w.arena.at<float>(theta_), *gradient = w.arena.at<float>(gradient_),
        *moment1 = w.arena.at<float>(moment1_);
  if (r.optimizer == OptimizerKind::sgd)
    sgd_step<float>(w.stream, theta, moment1, gradient, n, {lr, r.momentum, r.weight_decay});
  else
    adam_step<float>(w.stream, theta, moment1, w.arena.at<float>(moment2_), nullptr, gradient, n,
                     {lr, r.beta1, r.beta2, r.eps, r.weight_decay, r.optimizer == OptimizerKind::adamw, step});
}

// Makes rows of the networks whose checkpoint is due after `step` updates, and notices divergence.
void ZooTrainer::record(Work &w, long step) const {
  std::vector<std::pair<int, std::size_t>> due; // network of the wave, which of its checkpoints
  for (int i = 0; i < w.networks; ++i) {
    const auto &steps = w.due[std::size_t(i)];
    const auto found = std::lower_bound(steps.begin(), steps.end(), step);
    if (found != steps.end() && *found == step)
      due.emplace_back(i, std::size_t(found - steps.begin()));
  }
  if (due.empty() && step != task_.recipe.steps)
    return;
  Stream &s = w.stream;
  const std::size_t v = mlp_.layout().size();
  const float *theta = w.arena.at<float>(theta_);
  row_max_abs<float>(s, w.arena.at<float>(largest_), theta, wave_, v);
  const auto largest = to_host(s, w.arena.at<float>(largest_), std::size_t(wave_));
  const auto loss = to_host(s, w.arena.at<float>(loss_), std::size_t(wave_));
  for (int i = 0; i < w.networks; ++i)
    if (!(largest[std::size_t(i)] <= task_.recipe.divergence_limit) || !std::isfinite(loss[std::size_t(i)]))
      w.diverged[std::size_t(i)] = 1;
  std::erase_if(due, [&](const auto &d) { return w.diverged[std::size_t(d.first)] != 0; });

  const std::size_t wave = std::size_t(w.evaluator.wave());
  for (std::size_t first = 0; first < due.size(); first += wave) {
    const std::size_t count = std::min(wave, due.size() - first);
    for (std::size_t j = 0; j < count; ++j) {
      const auto [network, checkpoint] = due[first + j];
      const float *row = theta + std::size_t(network) * v;
      float *kept = w.arena.at<float>(rows_) + (std::size_t(network) * checkpoints_ + checkpoint) * v;
      copy(s, kept, row, v * sizeof(float));
      if (task_.storage == Dtype::bf16) { // what is scored is what will be stored
        s.synchronize();
        std::transform(kept, kept + v, kept, [](float x) { return to_float(to_bf16(x)); });
        row = kept;
      }
      copy(s, w.evaluator.theta() + j * v, row, v * sizeof(float));
    }
    Scores scores;
    w.evaluator.score(s, int(count), scores);
    for (std::size_t j = 0; j < count; ++j) {
      const auto [network, checkpoint] = due[first + j];
      const std::size_t at = std::size_t(network) * checkpoints_ + checkpoint;
      w.train_loss[at] = loss[std::size_t(network)];
      w.test_loss[at] = scores.loss[j], w.test_accuracy[at] = scores.accuracy[j];
    }
  }
}

// Writes the wave's rows as a shard, less the runs that diverged. Returns how many did.
int ZooTrainer::publish(Work &w, ZooWriter &writer) const {
  const std::size_t v = mlp_.layout().size();
  int dropped = 0;
  for (int i = 0; i < w.networks; ++i) {
    if (w.diverged[std::size_t(i)] != 0) {
      ++dropped;
      continue;
    }
    const int run = first_of(w.wave) + i;
    for (std::size_t k = 0; k < checkpoints_; ++k) {
      const std::size_t at = std::size_t(i) * checkpoints_ + k;
      const bool held_out = is_held_out(task_.recipe.networks > 1 ? run : long(k), task_.recipe.held_out);
      writer.append(w.arena.at<float>(rows_) + at * v,
                    {std::int64_t(run), std::int64_t(w.due[std::size_t(i)][k]), std::int64_t(held_out),
                     double(w.train_loss[at]), double(w.test_loss[at]), double(w.test_accuracy[at])});
    }
  }
  writer.publish_shard();
  return dropped;
}

void ZooTrainer::save(Work &w, long step, std::size_t shards, int dropped) const {
  const std::size_t n = std::size_t(wave_) * mlp_.layout().size();
  TrainingState state{.key = task_.key,
                      .count = {{"wave", w.wave}, {"step", step}, {"shards", long(shards)}, {"dropped", dropped}}};
  const float *rows = w.arena.at<float>(rows_);
  state.tensors["rows"] = {rows, rows + n * checkpoints_};
  state.tensors["theta"] = to_host(w.stream, w.arena.at<float>(theta_), n);
  state.tensors["moment1"] = to_host(w.stream, w.arena.at<float>(moment1_), n);
  if (moment2_)
    state.tensors["moment2"] = to_host(w.stream, w.arena.at<float>(moment2_), n);
  state.tensors["train_loss"] = w.train_loss, state.tensors["test_loss"] = w.test_loss;
  state.tensors["test_accuracy"] = w.test_accuracy, state.tensors["diverged"] = w.diverged;
  save_state(task_.directory / state_name, state);
}

// Restores the wave that `state` was saved in. Returns how many steps it has done.
long ZooTrainer::load(Work &w, const TrainingState &state) const {
  start_wave(w, int(state.number("wave")));
  const auto onto_device = [&](const char *name, Slot slot) {
    const auto &values = state.tensor(name);
    if (values.size() * sizeof(float) != plan_[slot].bytes)
      throw InputError((task_.directory / state_name).string(), ": '", name, "' has ", values.size(), " values");
    copy(w.stream, w.arena.at<float>(slot), values.data(), values.size() * sizeof(float));
  };
  onto_device("theta", theta_), onto_device("moment1", moment1_), onto_device("rows", rows_);
  if (moment2_)
    onto_device("moment2", moment2_);
  w.train_loss = state.tensor("train_loss"), w.test_loss = state.tensor("test_loss");
  w.test_accuracy = state.tensor("test_accuracy"), w.diverged = state.tensor("diverged");
  w.stream.synchronize();
  return state.number("step");
}

ZooOutcome ZooTrainer::run(Device device, const Dataset &data, Journal &journal) {
  const ZooRecipe &r = task_.recipe;
  Work w{.stream = Stream(device), .arena = Arena(device, plan_), .data = data, .mlp = mlp_, .evaluator = evaluator_};
  w.mlp.bind(w.arena);
  w.evaluator.bind(w.arena);
  w.evaluator.upload(w.stream, data, data.test);
  copy(w.stream, w.arena.at<std::uint8_t>(images_), data.train.pixels.data(), data.train.pixels.size());
  copy(w.stream, w.arena.at<std::uint8_t>(labels_), data.train.labels.data(), data.train.labels.size());

  std::filesystem::create_directories(task_.directory);
  const auto state = load_state(task_.directory / state_name, task_.key);
  ZooFormat format{mlp_.layout().places(),
                   mlp_.layout().size(),
                   task_.storage,
                   {{"run", Dtype::i64},
                    {"step", Dtype::i64},
                    {"held_out", Dtype::i64},
                    {"train_loss", Dtype::f32},
                    {"test_loss", Dtype::f32},
                    {"test_accuracy", Dtype::f32}},
                   task_.facts};
  ZooWriter writer(task_.directory, format, std::size_t(1) << 40, state ? std::size_t(state->number("shards")) : 0);
  ZooOutcome outcome{.dropped = state ? int(state->number("dropped")) : 0};
  const int waves = (r.networks + wave_ - 1) / wave_;
  for (int wave = state ? int(state->number("wave")) : 0; wave < waves; ++wave) {
    long first = 0;
    if (state && wave == int(state->number("wave")))
      first = load(w, *state);
    else
      start_wave(w, wave);
    if (first == 0 && w.due[0].front() == 0) { // a row of what has seen no update: its loss is the first batch's
      compute_losses(w, 1);
      record(w, 0);
      fill_zero(w.stream, w.arena.at<float>(gradient_), plan_[gradient_].bytes);
    }
    StepLoop loop{journal, waves == 1 ? "zoo" : fmt::format("zoo wave {}/{}", wave + 1, waves), r.steps};
    loop.run(
        first,
        [&](long i, bool report) {
          train_step(w, i + 1);
          record(w, i + 1);
          std::vector<std::pair<std::string, double>> metrics;
          if (report) {
            double sum = 0;
            for (const float l : to_host(w.stream, w.arena.at<float>(loss_), std::size_t(w.networks)))
              sum += l;
            metrics = {{"train_loss", sum / w.networks}};
          }
          return metrics;
        },
        [&](long done) { save(w, done, writer.shards(), outcome.dropped); });
    outcome.dropped += publish(w, writer);
    if (wave + 1 < waves) {
      start_wave(w, wave + 1);
      save(w, 0, writer.shards(), outcome.dropped);
    }
  }
  if (writer.rows() == 0)
    throw Error("zoo: all ", r.networks, " runs diverged; a smaller zoo.lr may help");
  writer.finish();
  std::filesystem::remove(task_.directory / state_name);
  outcome.rows = writer.rows();
  journal.line(fmt::format("zoo: {} rows of {} runs ({} diverged and dropped) in {}", outcome.rows, r.networks,
                           outcome.dropped, task_.directory.string()));
  return outcome;
}

} // namespace theta
