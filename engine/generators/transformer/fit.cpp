#include "fit.h"
#include "engine/memory/arena.h"
#include "engine/training/step_loop.h"
#include "kernels/device/parallel.h"
#include "kernels/operations/add.h"
#include "kernels/operations/diffusion.h"
#include "kernels/operations/random.h"
#include "kernels/operations/reduce.h"
#include "kernels/operations/units.h"
#include <cmath>

namespace theta {

namespace {

constexpr std::uint32_t initial_stream = 2; // of initial values
constexpr int staged_batches = 3;
constexpr std::size_t measured_networks = 65536; // of the conditions' ranges

// On the cpu the generator and the zoo that feeds it share the cores: the zoo has half of them.
int cores_of_stream() { return std::max(1, threads() / 2); }

// This thread's loops on that many cores (0: as before) while it lives.
struct ThreadShare {
  explicit ThreadShare(int count) : before(threads()) {
    if (count > 0)
      use_threads(count);
  }
  ~ThreadShare() { use_threads(before); }
  ThreadShare(const ThreadShare &) = delete;
  int before;
};

} // namespace

TransformerFit::TransformerFit(TransformerConfig config, const NetworkFacts &facts, std::size_t rows,
                               std::uint64_t seed, Backend backend, const std::optional<StreamTask> &stream,
                               const std::string &stage)
    : config_(std::move(config)), parameters_(facts.parameters()), rows_(rows), seed_(seed), coder_(config_, facts),
      conditions_(config_.conditions), model_(coder_.shape(config_)),
      weights_("transformer", model_.parameters(), model_.buffers(), config_.recipe.ema_decay > 0, model_.early(),
               model_.reads_narrow()),
      stage_(stage), plan_(stage, stage + ".batch") {
  check(config_, stage);
  if (rows < 1)
    throw InputError("fit: found no network to train on, expected at least 1");
  part_ = config_.recipe.batch / config_.accumulate;
  batch_ = {part_ / config_.draws, config_.start, conditions_.columns()};
  const std::int64_t part = part_, networks = batch_.networks * (config_.start ? 2 : 1), v = std::int64_t(parameters_),
                     size = std::int64_t(model_.size()), told = std::int64_t(conditions_.size());
  weights_.plan(plan_, stage + ".width, " + stage + ".layers");
  if (config_.source == NetworkOrigin::stream) {
    if (!stream)
      throw InputError("fit.transformer.source: found stream, expected zoo where the networks come from zoo.from");
    stream_task_ = stream;
    stream_.emplace(stream->recipe, stream->network, seed, stream->sizes, backend, !batch_.columns.empty());
    stream_->plan(stream_plan_);
    stream_plan_.place();
    plan_.lives_beside(stream_plan_);
  } else {
    for (int i = 0; i < staged_batches; ++i)
      staging_.push_back(plan_.reserve<float>(text("fit.staging.", i), MemoryClass::staging, {networks, v}, "batch"));
  }
  place_ = plan_.reserve<std::int32_t>("tokens.place", MemoryClass::data, {size});
  mean_ = plan_.reserve<float>("tokens.mean", MemoryClass::data, {size});
  std_ = plan_.reserve<float>("tokens.std", MemoryClass::data, {size});
  const auto data = [&](const char *name, std::int64_t n, std::int64_t width) {
    return plan_.reserve<float>(name, MemoryClass::data, {n, width}, "batch");
  };
  theta_ = data("fit.theta", networks, v);
  if (told > 0) {
    told_staging_ = plan_.reserve<float>("fit.staging.told", MemoryClass::staging, {told, part});
    told_ = data("fit.told", told, part);
  }
  loss_ = data("fit.loss", config_.accumulate, 1);
  const auto activation = [&](const char *name, std::int64_t n, std::int64_t width) {
    return plan_.reserve<float>(name, MemoryClass::activations, {n, width}, "batch");
  };
  if (stream_ && config_.start)
    run_rows_ = data("fit.run", std::int64_t(stream_->checkpoints()), v);
  x0_ = activation("fit.x0", part, size);
  if (config_.start)
    start_ = activation("fit.start", part, size);
  target_ = activation("fit.target", part, size), t_ = activation("fit.t", part, 1);
  partials_ = plan_.reserve<float>("fit.partials", MemoryClass::workspace, {std::int64_t(partial_sums)});
  model_.plan(plan_, part_, Mode::train);
  plan_.place();
}

std::vector<const MemoryPlan *> TransformerFit::plans() const {
  std::vector<const MemoryPlan *> all{&plan_};
  if (stream_)
    all.push_back(&stream_plan_);
  return all;
}

// Mean and standard deviation of every element of the tokens, over its group. In double, two passes over the mapped
// file.
void TransformerFit::measure_tokens(const ZooReader &zoo, const std::vector<std::size_t> &rows, const Orders &orders,
                                    Transformer &to) const {
  const std::size_t size = model_.size();
  const auto group = coder_.groups();
  std::vector<double> sum(size, 0), squares(size, 0), count(size, 0);
  std::vector<float> theta(parameters_), tokens(size);
  const auto for_rows = [&](auto f) {
    for (const std::size_t row : rows) {
      zoo.theta(row, theta.data());
      if (config_.align)
        coder_.align(theta.data(), orders.at(row));
      coder_.encode(tokens.data(), theta.data());
      for (std::size_t i = 0; i < size; ++i)
        f(group[i], double(tokens[i]));
    }
  };
  for_rows([&](std::size_t i, double value) { sum[i] += value, count[i] += 1; });
  for_rows([&](std::size_t i, double value) { squares[i] += std::pow(value - sum[i] / count[i], 2); });
  to.mean.resize(size), to.std.resize(size);
  for (std::size_t i = 0; i < size; ++i) {
    const std::size_t of = group[i];
    const double deviation = std::sqrt(squares[of] / count[of]);
    to.mean[i] = float(sum[of] / count[of]), to.std[i] = deviation > 1e-12 ? float(deviation) : 1.0f;
  }
}

struct TransformerFit::Work {
  Arena arena, stream_arena;
  std::vector<Graph> graphs; // one a part: the last steps too
  Adam options{};

  Work(Device device, const TransformerFit &fit)
      : arena(device, fit.plan_), stream_arena(device, fit.stream_plan_), graphs(std::size_t(fit.config_.accumulate)) {}
};

std::unique_ptr<NetworkSource> TransformerFit::source(Stream &s, const ZooReader &zoo, const ZooBatches &batches,
                                                      const Orders &orders, const SavedState *state) {
  if (stream_) {
    StreamPosition from;
    if (state)
      from = {state->number("wave"), state->number("row")};
    stream_->start(s.device(), *stream_task_->data, from, s.is_cuda() ? 0 : cores_of_stream());
    return std::make_unique<StreamSource>(*stream_, stream_task_->recipe, batch_, run_rows_, seed_);
  }
  std::vector<float *> staging;
  for (const auto &buffer : staging_)
    staging.push_back(buffer);
  Prefetch::Prepare align;
  if (config_.align)
    align = [&](std::size_t row, float *theta) { coder_.align(theta, orders.at(row)); };
  return std::make_unique<ZooSource>(zoo, batches, staging, (state ? state->number("step") : 0) * config_.accumulate,
                                     std::move(align));
}

// Forward and backward of one part of a batch; after the last, the optimiser's step.
void TransformerFit::learn(Stream &s, Work &w, NetworkSource &source, const Transformer &t, long step, int part) {
  const std::size_t size = model_.size(), n = std::size_t(part_) * size;
  const std::size_t networks = std::size_t(batch_.networks);
  float *theta = theta_, *told = told_, *x0 = x0_, *target = target_;
  const auto draw = std::uint32_t(step * config_.recipe.batch + part * part_);
  const auto facts = source.next(s, theta, theta + networks * parameters_);
  if (told) {
    s.synchronize(); // the copy out of the staging before
    float *staged = told_staging_;
    conditions_.tell(staged, facts, batch_.networks, config_.draws, t.ranges);
    drop_conditions(staged, conditions_.size(), part_, config_.drop, seed_, draw);
    copy(s, told, staged, conditions_.size() * std::size_t(part_) * sizeof(float));
  }
  w.graphs[std::size_t(part)].run(s, [&] {
    coder_.balance(s, theta, batch_.networks * (config_.start ? 2 : 1));
    const auto gather = [&](float *tokens, const float *from) { // a network and its start are shuffled alike
      gather_tokens<float>(s, tokens, from, place_, mean_, std_, batch_.networks, config_.draws, parameters_, size,
                           coder_.shuffle(seed_, draw));
    };
    gather(x0, theta);
    if (config_.augment > 0) {
      fill_normal<float>(s, target, part_, size, config_.augment, {seed_, Purpose::input_noise, draw});
      add_scaled<float>(s, x0, x0, target, 1, n);
      if (coder_.has_padding())
        clear_padding<float>(s, x0, place_, part_, size);
    }
    if (config_.start)
      gather(start_, theta + networks * parameters_);
    fill_normal<float>(s, target, part_, size, config_.noise_scale, {seed_, Purpose::diffusion_noise, draw});
    draw_times<float>(s, t_, part_, config_.draws, config_.noise, {seed_, Purpose::diffusion_time, draw});
    mix_noise<float>(s, x0, target, x0, target, config_.residual ? start_.get() : nullptr, place_, t_, part_, size,
                     config_.noise, config_.objective);
    const FinishEarly<float> finish = [&](const TensorRange &tensor, float *gradient) {
      weights_.step_early(s, tensor, gradient, w.options);
    };
    const auto parameters = weights_.parameters(&finish);
    const float *predicted = model_.forward(s, parameters, x0, {t_, told, start_});
    mean_squared_error<float>(s, loss_ + part, model_.d_out(), predicted, target, n, partials_);
    if (config_.accumulate > 1) // the mean of the parts' means
      add_scaled<float>(s, model_.d_out(), model_.d_out(), model_.d_out(), 1.0 / config_.accumulate - 1, n);
    model_.backward(s, parameters);
    if (part + 1 == config_.accumulate)
      weights_.step(s, w.options, config_.recipe.max_norm);
  });
}

Transformer TransformerFit::run(Device device, const ZooReader &zoo, const std::vector<std::size_t> &rows,
                                const std::filesystem::path &state_path, const std::string &key, Journal &journal,
                                const Probe &probe) {
  if (rows.size() != rows_ || zoo.parameters() != parameters_)
    throw InputError("fit: found ", rows.size(), " networks of ", zoo.parameters(), " parameters, expected ", rows_,
                     " of ", parameters_);
  const FitRecipe &r = config_.recipe;
  const auto state = load_state(state_path, key);
  const long first = state ? state->number("step") : 0;
  Transformer now{config_, zoo.format(), {}, {}, {}, {}};
  const Orders orders = coder_.orders(zoo, rows);
  measure_tokens(zoo, rows, orders, now);
  const ZooBatches batches(zoo, rows, batch_, seed_);
  if (conditions_.size() > 0) {
    std::vector<NetworkSource::Facts> some;
    for (std::size_t seen = 0; seen < std::min(measured_networks, batches.targets());
         seen += std::size_t(batch_.networks))
      some.push_back(batches.facts_of(some.size()));
    now.ranges = conditions_.measure(some, batch_.networks);
  }

  Stream s(device);
  Work w(device, *this);
  weights_.initialise(s, seed_, initial_stream);
  if (state)
    weights_.load(s, *state);
  const auto &places = coder_.tokens().place;
  copy(s, place_, places.data(), places.size() * sizeof(std::int32_t));
  copy(s, mean_, now.mean.data(), now.mean.size() * sizeof(float));
  copy(s, std_, now.std.data(), now.std.size() * sizeof(float));
  s.synchronize();

  const ThreadShare share(stream_ && !s.is_cuda() ? threads() - cores_of_stream() : 0);
  const auto networks = source(s, zoo, batches, orders, state ? &*state : nullptr);
  LrSchedule schedule{.kind = r.schedule, .steps = r.steps};
  schedule.warmup = std::min(config_.warmup, r.steps - 1);
  journal.rewind_metrics("fit.probe", first);
  auto position = networks->position(); // of the first network that no whole step has seen
  const auto step = [&](long i, bool report) {
    w.options = {.lr = r.lr * schedule.at(i),
                 .beta2 = config_.beta2,
                 .weight_decay = r.weight_decay,
                 .step = i + 1,
                 .ema_decay = std::min(r.ema_decay, double(i + 1) / double(i + 11))};
    for (int part = 0; part < config_.accumulate; ++part)
      learn(s, w, *networks, now, i, part);
    position = networks->position();
    std::vector<std::pair<std::string, double>> metrics;
    if (report) {
      double mse = 0;
      for (const float loss : to_host(s, loss_.get(), std::size_t(config_.accumulate)))
        mse += loss / config_.accumulate;
      metrics = {{"mse", mse}, {"lr", w.options.lr}};
    }
    if (config_.probe_every > 0 && (i + 1) % config_.probe_every == 0) {
      now.weights = weights_.result(s);
      journal.metrics("fit.probe", i + 1, probe(now));
    }
    return metrics;
  };
  StepLoop{journal, stage_, r.steps}.run(first, step, [&](long done) {
    TrainingState saved{key, position, {}};
    saved.count["step"] = done;
    weights_.save(s, saved.tensors);
    save_state(state_path, saved);
  });
  now.weights = weights_.finish(s);
  return now;
}

} // namespace theta
