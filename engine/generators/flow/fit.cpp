#include "fit.h"
#include "engine/diffusion/noisy_target.h"
#include "engine/memory/arena.h"
#include "engine/training/step_loop.h"
#include "kernels/device/parallel.h"
#include "kernels/operations/add.h"
#include "kernels/operations/code_posterior.h"
#include "kernels/operations/diffusion.h"
#include "kernels/operations/random.h"
#include "kernels/operations/reduce.h"
#include "kernels/operations/units.h"
#include "models.h"
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

// Networks of independent normal weights, drawn once: they stay where they are.
class DrawnNetworks : public NetworkSource {
public:
  explicit DrawnNetworks(std::size_t weights) : weights_(weights) {}
  const Facts &next(Stream &s, float *theta, float *) override {
    if (!std::exchange(drawn_, true))
      fill_normal<float>(s, theta, 1, weights_, 1, {1, Purpose::test});
    return none_;
  }

private:
  std::size_t weights_;
  bool drawn_ = false;
  Facts none_;
};

} // namespace

FlowFit::FlowFit(FlowConfig config, const NetworkFacts &facts, std::size_t rows, std::uint64_t seed, Backend backend,
                 const std::optional<StreamTask> &stream, const std::string &stage)
    : FlowFit(config, {{TokenCoder(config, facts), rows}}, model_of(config, TokenCoder(config, facts)), seed, backend,
              stream, stage) {}

FlowFit::FlowFit(FlowConfig config, std::vector<FlowNetworks> of, std::unique_ptr<FlowModel<float>> model,
                 std::uint64_t seed, Backend backend, const std::optional<StreamTask> &stream, const std::string &stage)
    : config_(std::move(config)), seed_(seed), conditions_(config_.conditions), model_(std::move(model)),
      weights_("transformer", model_->parameters(), model_->buffers(), config_.recipe.ema_decay > 0, model_->early(),
               model_->reads_narrow()),
      part_(config_.recipe.batch / config_.accumulate), stage_(stage), plan_(stage, stage + ".batch") {
  check(config_, stage);
  for (auto &networks : of) {
    if (networks.rows < 1)
      throw InputError("fit: found no network to train on, expected at least 1");
    shares_.push_back({std::move(networks), {}});
  }
  share_batch();
  weights_.plan(plan_, stage + ".width, " + stage + ".layers");
  plan_batch(backend, stream);
  plan_.place();
}

// As many networks of each architecture, give or take one.
void FlowFit::share_batch() {
  const int networks = part_ / config_.draws, kinds = int(shares_.size());
  if (networks < kinds)
    throw InputError(stage_, ".batch: found ", networks, " networks at a time of ", kinds,
                     " architectures, expected one of each at least");
  std::size_t row = 0, padding = 0;
  for (int k = 0; k < kinds; ++k) {
    Share &share = shares_[std::size_t(k)];
    share.batch = {networks / kinds + (k < networks % kinds), config_.start, conditions_.columns()};
    share.first_row = row, share.first_element = elements_, share.first_parameter = parameters_;
    const std::size_t rows = std::size_t(share.rows(config_.draws));
    const auto &place = share.of.coder.tokens().place;
    row += rows, elements_ += rows * share.size();
    parameters_ += std::size_t(share.networks()) * share.of.coder.parameters();
    padding += rows * std::size_t(std::count_if(place.begin(), place.end(), [](std::int32_t at) { return at < 0; }));
  }
  if (model_->ignores_padding())
    counted_ = double(elements_ - padding) / double(elements_);
}

void FlowFit::plan_batch(Backend backend, const std::optional<StreamTask> &stream) {
  const std::int64_t part = part_, told = std::int64_t(conditions_.size()), all = std::int64_t(elements_);
  const auto name = [&](const char *what, std::size_t k) {
    return shares_.size() > 1 ? text(what, '.', k) : std::string(what);
  };
  if (config_.source == NetworkOrigin::stream) {
    if (!stream || shares_.size() > 1)
      throw InputError(stage_, ".source: found stream, expected zoo where the networks ",
                       stream ? "have several architectures" : "come from zoo.from");
    stream_task_ = stream;
    stream_.emplace(stream->recipe, stream->network, seed_, stream->sizes, backend, !shares_[0].batch.columns.empty());
    stream_->plan(stream_plan_);
    stream_plan_.place();
    plan_.lives_beside(stream_plan_);
  }
  for (std::size_t k = 0; k < shares_.size(); ++k) {
    Share &share = shares_[k];
    const std::int64_t size = std::int64_t(share.size()), v = std::int64_t(share.of.coder.parameters());
    for (int i = 0; i < staged_batches && !stream_; ++i)
      share.staging.push_back(plan_.reserve<float>(text(name("fit.staging", k), '.', i), MemoryClass::staging,
                                                   {share.networks(), v}, "batch"));
    share.place = plan_.reserve<std::int32_t>(name("tokens.place", k), MemoryClass::data, {size});
    share.mean = plan_.reserve<float>(name("tokens.mean", k), MemoryClass::data, {size});
    share.std = plan_.reserve<float>(name("tokens.std", k), MemoryClass::data, {size});
    if (!share.of.coder.seconds().empty())
      share.second = plan_.reserve<std::int32_t>(name("tokens.second", k), MemoryClass::data, {size});
    if (config_.weigh_by != WeighBy::elements)
      share.weight = plan_.reserve<float>(name("tokens.weight", k), MemoryClass::data, {size});
  }
  const auto data = [&](const char *what, std::int64_t n, std::int64_t width) {
    return plan_.reserve<float>(what, MemoryClass::data, {n, width}, "batch");
  };
  theta_ = data("fit.theta", 1, std::int64_t(parameters_));
  if (told > 0) {
    told_staging_ = plan_.reserve<float>("fit.staging.told", MemoryClass::staging, {told, part});
    told_ = data("fit.told", told, part);
  }
  loss_ = data("fit.loss", config_.accumulate, 1);
  const auto activation = [&](const char *what, std::int64_t n) {
    return plan_.reserve<float>(what, MemoryClass::activations, {1, n}, "batch");
  };
  if (stream_ && config_.start)
    run_rows_ = data("fit.run", std::int64_t(stream_->checkpoints()), std::int64_t(stream_->parameters()));
  x0_ = activation("fit.x0", all);
  if (config_.start)
    start_ = activation("fit.start", all);
  target_ = activation("fit.target", all), t_ = activation("fit.t", part);
  partials_ = plan_.reserve<float>("fit.partials", MemoryClass::workspace, {std::int64_t(partial_sums)});
  std::vector<int> networks;
  for (const Share &share : shares_)
    networks.push_back(share.rows(config_.draws));
  model_->plan_for(plan_, networks, Mode::train);
}

std::vector<const MemoryPlan *> FlowFit::plans() const {
  std::vector<const MemoryPlan *> all{&plan_};
  if (stream_)
    all.push_back(&stream_plan_);
  return all;
}

// Mean and standard deviation of every element of the tokens, over its group. In double, two passes over the mapped
// files.
void FlowFit::measure_tokens(const std::vector<FlowRows> &zoos, const std::vector<Orders> &orders, Learned &to) const {
  std::vector<std::vector<std::size_t>> group;
  std::size_t groups = 0;
  for (const Share &share : shares_) {
    group.push_back(share.of.coder.groups());
    groups = std::max(groups, *std::max_element(group.back().begin(), group.back().end()) + 1);
  }
  std::vector<double> sum(groups, 0), squares(groups, 0), count(groups, 0);
  const auto for_rows = [&](auto f) {
    for (std::size_t k = 0; k < shares_.size(); ++k) {
      const TokenCoder &coder = shares_[k].of.coder;
      std::vector<float> theta(coder.parameters()), tokens(shares_[k].size());
      for (const std::size_t row : zoos[k].rows) {
        zoos[k].zoo.theta(row, theta.data());
        if (config_.align)
          coder.align(theta.data(), orders[k].at(row));
        coder.encode(tokens.data(), theta.data());
        for (std::size_t i = 0; i < tokens.size(); ++i)
          f(group[k][i], double(tokens[i]));
      }
    }
  };
  for_rows([&](std::size_t i, double value) { sum[i] += value, count[i] += 1; });
  for_rows([&](std::size_t i, double value) { squares[i] += std::pow(value - sum[i] / count[i], 2); });
  for (const auto &of_elements : group) {
    Learned::Scale scale;
    for (const std::size_t of : of_elements) {
      const double deviation = std::sqrt(squares[of] / count[of]);
      scale.mean.push_back(float(sum[of] / count[of]));
      scale.std.push_back(deviation > 1e-12 ? float(deviation) : 1.0f);
    }
    to.tokens.push_back(std::move(scale));
  }
}

// How much each element counts: Share::counts.
void FlowFit::weigh(const std::vector<FlowRows> &zoos, const std::vector<Orders> &orders, const Learned &of,
                    const Effect &effect) {
  constexpr std::size_t most_networks = 64;
  constexpr double most_apart = 30; // a weight's from the mean
  for (std::size_t k = 0; k < shares_.size(); ++k) {
    const TokenCoder &coder = shares_[k].of.coder;
    if (config_.weigh_by == WeighBy::tensors)
      shares_[k].counts = coder.tensor_weights();
    if (config_.weigh_by != WeighBy::effect)
      continue;
    const std::size_t n = std::min(most_networks, zoos[k].rows.size()), v = coder.parameters(),
                      size = shares_[k].size();
    std::vector<float> theta(n * v), tokens(size);
    for (std::size_t i = 0; i < n; ++i) {
      const std::size_t row = zoos[k].rows[i * zoos[k].rows.size() / n];
      float *one = theta.data() + i * v;
      zoos[k].zoo.theta(row, one);
      if (config_.align)
        coder.align(one, orders[k].at(row));
      coder.encode(tokens.data(), one); // balanced in place
    }
    const auto squares = effect(k, theta);
    const auto &place = coder.tokens().place;
    const auto group = coder.groups(NormalizerKind::coordinate);
    const std::size_t groups = *std::max_element(group.begin(), group.end()) + 1;
    std::vector<double> sum(groups, 0), count(groups, 0);
    for (std::size_t at = 0; at < size; ++at)
      if (place[at] >= 0)
        sum[group[at]] += squares[std::size_t(place[at])], count[group[at]] += 1;
    std::vector<float> &counts = shares_[k].counts;
    counts.assign(size, 0);
    const auto all_to_mean_one = [&] {
      double total = 0, elements = 0;
      for (std::size_t at = 0; at < size; ++at)
        total += double(counts[at]), elements += place[at] >= 0;
      for (float &each : counts)
        each = total > 0 ? float(each * elements / total) : 1;
    };
    for (std::size_t at = 0; at < size; ++at)
      if (place[at] >= 0)
        counts[at] = float(std::sqrt(sum[group[at]] / count[group[at]]) * double(of.tokens[k].std[at]));
    all_to_mean_one();
    for (std::size_t at = 0; at < size; ++at)
      if (place[at] >= 0)
        counts[at] = std::clamp(counts[at], float(1 / most_apart), float(most_apart));
    all_to_mean_one();
  }
}

struct FlowFit::Work {
  Arena arena, stream_arena;
  std::vector<std::unique_ptr<NetworkSource>> sources{}; // of each architecture
  std::vector<Graph> graphs;                             // one a part: the last steps too
  Adam options{};

  Work(Device device, const FlowFit &fit)
      : arena(device, fit.plan_), stream_arena(device, fit.stream_plan_), graphs(std::size_t(fit.config_.accumulate)) {}
};

std::unique_ptr<NetworkSource> FlowFit::source(Stream &s, const Share &share, const ZooReader &zoo,
                                               const ZooBatches &batches, const Orders &orders,
                                               const SavedState *state) {
  if (stream_) {
    StreamPosition from;
    if (state)
      from = {state->number("wave"), state->number("row")};
    stream_->start(s.device(), *stream_task_->data, from, s.is_cuda() ? 0 : cores_of_stream());
    return std::make_unique<StreamSource>(*stream_, stream_task_->recipe, share.batch, run_rows_, seed_);
  }
  std::vector<float *> staging;
  for (const auto &buffer : share.staging)
    staging.push_back(buffer);
  Prefetch::Prepare align;
  if (config_.align)
    align = [&](std::size_t row, float *theta) { share.of.coder.align(theta, orders.at(row)); };
  return std::make_unique<ZooSource>(zoo, batches, staging, (state ? state->number("step") : 0) * config_.accumulate,
                                     std::move(align));
}

// An architecture's networks to tokens under noise, and what is to be learned of them.
void FlowFit::noise(Stream &s, const Share &share, std::uint32_t draw) {
  const TokenCoder &coder = share.of.coder;
  const std::size_t size = share.size(), at = share.first_element, v = coder.parameters();
  const int rows = share.rows(config_.draws);
  draw += std::uint32_t(share.first_row);
  float *theta = theta_ + share.first_parameter, *x0 = x0_ + at, *target = target_ + at, *t = t_ + share.first_row;
  float *start = config_.start ? start_ + at : nullptr;
  coder.balance(s, theta, share.networks());
  const auto gather = [&](float *tokens, const float *from) { // a network and its start are shuffled alike
    gather_tokens<float>(s, tokens, from, share.place, share.mean, share.std, share.batch.networks, config_.draws, v,
                         size, coder.shuffle(seed_, draw));
  };
  gather(x0, theta);
  if (config_.augment > 0) {
    fill_normal<float>(s, target, rows, size, config_.augment, {seed_, Purpose::input_noise, draw});
    add_scaled<float>(s, x0, x0, target, 1, std::size_t(rows) * size);
    if (coder.has_padding())
      clear_padding<float>(s, x0, share.place, rows, size);
  }
  if (start)
    gather(start, theta + std::size_t(share.batch.networks) * v);
  noisy_target(s, x0, target, t, x0,
               {.rows = rows,
                .size = size,
                .path = config_.noise,
                .objective = config_.objective,
                .scale = config_.noise_scale,
                .draws = config_.draws,
                .start = config_.residual ? start : nullptr,
                .place = share.place,
                .streams = config_.own_noise ? share.streams.data() : nullptr},
               seed_, draw, draw);
  if (share.second) {
    clear_padding<float>(s, x0, share.place, rows, size);
    code_targets<float>(s, target, x0, t, config_.noise, config_.objective,
                        {rows, size, share.second, coder.most_code(), share.mean, share.std});
  }
}

const float *FlowFit::answer(Stream &s, const float *predicted) {
  if (!shares_[0].second)
    return predicted;
  float *y = model_->d_out(); // where the gradient will be
  copy(s, y, predicted, elements_ * sizeof(float));
  for (const Share &share : shares_)
    code_moments<float>(
        s, y + share.first_element, x0_ + share.first_element, t_ + share.first_row, config_.noise,
        {share.rows(config_.draws), share.size(), share.second, share.of.coder.most_code(), share.mean, share.std});
  return y;
}

// Forward and backward of one part of a batch; after the last, the optimiser's step.
void FlowFit::learn(Stream &s, Work &w, const std::vector<ConditionRange> &ranges, long step, int part) {
  float *theta = theta_, *told = told_;
  const auto draw = std::uint32_t(step * config_.recipe.batch + part * part_);
  float *staged = told_staging_;
  if (told)
    s.synchronize(); // the copy out of the staging before
  for (std::size_t k = 0; k < shares_.size(); ++k) {
    Share &share = shares_[k];
    float *to = theta + share.first_parameter;
    const auto &facts = w.sources[k]->next(s, to, to + std::size_t(share.batch.networks) * share.of.coder.parameters());
    if (config_.own_noise)
      share.take_streams(facts, config_.draws);
    if (told)
      conditions_.tell(staged + share.first_row, std::size_t(part_), facts, config_.draws, ranges);
  }
  if (told) {
    drop_conditions(staged, conditions_.size(), part_, config_.drop, seed_, draw);
    copy(s, told, staged, conditions_.size() * std::size_t(part_) * sizeof(float));
  }
  w.graphs[std::size_t(part)].run(s, [&] {
    for (const Share &share : shares_)
      noise(s, share, draw);
    const auto step_early = [&](const TensorRange &tensor, float *gradient) {
      weights_.step_early(s, tensor, gradient, w.options);
    };
    const FinishEarly<float> finish(step_early);
    const auto parameters = weights_.parameters(&finish);
    const float *predicted = model_->forward(
        s, parameters, x0_, {.time = t_, .conditions = told, .start = start_, .seed = seed_, .draw = draw});
    mean_squared_error<float>(s, loss_ + part, model_->d_out(), answer(s, predicted), target_, elements_, partials_);
    for (const Share &share : shares_)
      if (config_.weigh_by != WeighBy::elements)
        weigh_columns<float>(s, model_->d_out() + share.first_element, share.weight, share.rows(config_.draws),
                             share.size());
    if (const double factor = 1 / (config_.accumulate * counted_); factor != 1) // the mean of the parts' means
      add_scaled<float>(s, model_->d_out(), model_->d_out(), model_->d_out(), factor - 1, elements_);
    model_->backward(s, parameters);
    if (part + 1 == config_.accumulate)
      weights_.step(s, w.options, config_.recipe.max_norm);
  });
}

void FlowFit::upload(Stream &s, const Learned &learned) const {
  model_->upload(s);
  for (std::size_t k = 0; k < shares_.size(); ++k) {
    const auto &places = shares_[k].of.coder.tokens().place;
    const auto &[mean, std] = learned.tokens[k];
    copy(s, shares_[k].place, places.data(), places.size() * sizeof(std::int32_t));
    if (const auto &second = shares_[k].of.coder.seconds(); !second.empty())
      copy(s, shares_[k].second, second.data(), second.size() * sizeof(std::int32_t));
    copy(s, shares_[k].mean, mean.data(), mean.size() * sizeof(float));
    copy(s, shares_[k].std, std.data(), std.size() * sizeof(float));
    if (config_.weigh_by != WeighBy::elements)
      copy(s, shares_[k].weight, shares_[k].counts.data(), shares_[k].counts.size() * sizeof(float));
    s.synchronize();
  }
}

std::function<void(int)> FlowFit::rehearsal(Stream &s) {
  auto w = std::make_shared<Work>(s.device(), *this);
  Learned standard; // tokens as they are
  for (const Share &share : shares_) {
    standard.tokens.push_back({std::vector<float>(share.size(), 0.0f), std::vector<float>(share.size(), 1.0f)});
    w->sources.push_back(std::make_unique<DrawnNetworks>(std::size_t(share.networks()) * share.of.coder.parameters()));
  }
  weights_.initialise(s, seed_, initial_stream);
  upload(s, standard);
  return [this, &s, w](int i) {
    w->options = {.lr = 1e-4, .step = i + 1, .ema_decay = config_.recipe.ema_decay};
    for (int part = 0; part < config_.accumulate; ++part)
      learn(s, *w, {}, i, part);
  };
}

Learned FlowFit::run(Device device, const std::vector<FlowRows> &zoos, const std::filesystem::path &state_path,
                     const std::string &key, Journal &journal, const Probe &probe, const Effect &effect) {
  for (std::size_t k = 0; k < shares_.size(); ++k) {
    const FlowNetworks &of = shares_[k].of;
    if (zoos.size() != shares_.size() || zoos[k].rows.size() != of.rows ||
        zoos[k].zoo.parameters() != of.coder.parameters())
      throw InputError("fit: found ", zoos.at(k).rows.size(), " networks of ", zoos[k].zoo.parameters(),
                       " parameters, expected ", of.rows, " of ", of.coder.parameters());
  }
  const FitRecipe &r = config_.recipe;
  const auto state = load_state(state_path, key);
  const long first = state ? state->number("step") : 0;
  Learned now;
  std::vector<Orders> orders;
  for (std::size_t k = 0; k < shares_.size(); ++k)
    orders.push_back(shares_[k].of.coder.orders(zoos[k].zoo, zoos[k].rows));
  measure_tokens(zoos, orders, now);
  weigh(zoos, orders, now, effect);
  std::vector<ZooBatches> batches;
  std::vector<NetworkSource::Facts> some;
  batches.reserve(shares_.size()); // sources keep references
  for (std::size_t k = 0; k < shares_.size(); ++k) {
    const ZooBatches &of = batches.emplace_back(zoos[k].zoo, zoos[k].rows, shares_[k].batch, seed_);
    std::uint64_t at = 0;
    for (std::size_t seen = 0; conditions_.size() > 0 && seen < std::min(measured_networks, of.targets());
         seen += std::size_t(shares_[k].batch.networks))
      of.facts_of(at++, some.emplace_back());
  }
  if (conditions_.size() > 0)
    now.ranges = conditions_.measure(some);

  Stream s(device);
  Work w(device, *this);
  weights_.initialise(s, seed_, initial_stream);
  if (state)
    weights_.load(s, *state);
  upload(s, now);
  const ThreadShare share(stream_ && !s.is_cuda() ? threads() - cores_of_stream() : 0);
  for (std::size_t k = 0; k < shares_.size(); ++k)
    w.sources.push_back(source(s, shares_[k], zoos[k].zoo, batches[k], orders[k], state ? &*state : nullptr));
  LrSchedule schedule{.kind = r.schedule, .steps = r.steps};
  schedule.warmup = std::min(config_.warmup, r.steps - 1);
  journal.rewind_metrics("fit.probe", first);
  auto position = w.sources[0]->position(); // of the first network that no whole step has seen
  const auto step = [&](long i, bool report) {
    w.options = {.lr = r.lr * schedule.at(i),
                 .beta2 = config_.beta2,
                 .weight_decay = r.weight_decay,
                 .step = i + 1,
                 .ema_decay = std::min(r.ema_decay, double(i + 1) / double(i + 11))};
    for (int part = 0; part < config_.accumulate; ++part)
      learn(s, w, now.ranges, i, part);
    position = w.sources[0]->position();
    std::vector<std::pair<std::string, double>> metrics;
    if (report) {
      double mse = 0;
      for (const float loss : to_host(s, loss_.get(), std::size_t(config_.accumulate)))
        mse += loss / (config_.accumulate * counted_);
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
