#include "fit.h"
#include "engine/diffusion/noisy_target.h"
#include "engine/memory/arena.h"
#include "engine/training/interrupt.h"
#include "engine/training/step_loop.h"
#include "kernels/operations/add.h"
#include "kernels/operations/gather.h"
#include "kernels/operations/random.h"
#include "kernels/operations/reduce.h"
#include <cmath>

namespace theta {

namespace {

constexpr std::uint32_t recurrence_stream = 3, flow_stream = 4; // of initial values; the first is that of the order too
constexpr int staged_windows = 3;
constexpr std::size_t measured_at_once = std::size_t(1) << 18; // parameters

} // namespace

WindowsFit::WindowsFit(WindowsConfig config, std::size_t parameters, std::size_t rows, std::uint64_t seed)
    : config_(std::move(config)), parameters_(parameters), rows_(rows),
      windows_((config_.tokens(parameters) + std::size_t(config_.window) - 1) / std::size_t(config_.window)),
      seed_(seed), recurrence_(config_.recurrence()), flow_(config_.token_flow()),
      recurrence_weights_("recurrence", recurrence_.parameters(), recurrence_.buffers(),
                          config_.flow.recipe.ema_decay > 0),
      flow_weights_("flow", flow_.parameters(), flow_.buffers(), config_.flow.recipe.ema_decay > 0, flow_.early(),
                    flow_.reads_narrow()) {
  check(config_);
  if (rows < 1)
    throw InputError("fit: found no network to train on, expected at least 1");
  const std::int64_t b = config_.flow.recipe.batch, n = config_.window, w = config_.chunk, r = b * n;
  recurrence_weights_.plan(plan_, "fit.windows.state, fit.windows.chunk");
  flow_weights_.plan(plan_, "fit.windows.width, fit.windows.chunk");
  for (int i = 0; i < staged_windows; ++i)
    staging_.push_back(plan_.reserve<float>(text("fit.staging.", i), MemoryClass::staging, {b * (1 + n) * w + r}));
  statistics_ = plan_.reserve<float>("fit.statistics", MemoryClass::staging, {2, (1 + n) * w});
  const auto data = [&](const char *name, std::int64_t rows, std::int64_t width) {
    return plan_.reserve<float>(name, MemoryClass::data, {rows, width}, "batch, fit.windows.window");
  };
  tokens_ = data("fit.tokens", b * (1 + n), w), place_ = data("fit.place", r, 1);
  const std::int64_t states = std::int64_t(recurrence_.states()) * b;
  state_ = data("fit.state", 1, states), next_ = data("fit.next_state", 1, states);
  loss_ = data("fit.loss", 1, 1);
  const auto activation = [&](const char *name, std::int64_t rows, std::int64_t width) {
    return plan_.reserve<float>(name, MemoryClass::activations, {rows, width}, "batch, fit.windows.window");
  };
  before_ = activation("fit.before", r, w), noise_ = activation("fit.noise", r, w);
  x0_ = activation("fit.x0", r, w), target_ = activation("fit.target", r, w), t_ = activation("fit.t", r, 1);
  partials_ = plan_.reserve<float>("fit.partials", MemoryClass::workspace, {std::int64_t(partial_sums)});
  recurrence_.plan(plan_, int(b), int(n), Mode::train);
  flow_.plan(plan_, int(r), Mode::train);
  plan_.place();
}

auto WindowsFit::place_of(std::uint64_t step, int slot) const -> Place {
  const std::uint64_t batch = std::uint64_t(config_.flow.recipe.batch);
  const std::uint64_t at = step + std::uint64_t(slot) * windows_ / batch; // spread over the sequence
  return {at / windows_, std::size_t(at % windows_)};
}

// The windows of step `step`: of every slot the token before and `window` tokens, standardised, zeros beyond the ends;
// then the tokens' places.
void WindowsFit::read_window(const FitWork &w, const StandardParts &standard, std::uint64_t step, float *to) const {
  const int batch = config_.flow.recipe.batch;
  const std::size_t n = std::size_t(config_.window), chunk = std::size_t(config_.chunk), part = (1 + n) * chunk;
  float *places = to + std::size_t(batch) * part;
  for (int b = 0; b < batch; ++b, to += part) {
    const Place at = place_of(step, b);
    const BatchOrder order{1, batch, std::uint32_t(rows_), seed_, recurrence_stream, at.pass};
    const std::size_t row = w.training[order.example(0, b)], token = at.window * n;
    const std::size_t begin = token > 0 ? (token - 1) * chunk : 0, end = std::min(parameters_, (token + n) * chunk);
    const std::size_t skip = token > 0 ? 0 : chunk; // before the first token there is none
    std::fill_n(to, part, 0.0f);
    w.zoo.theta(row, begin, end - begin, to + skip);
    standard.standardise(to + skip, begin, end - begin, statistics_);
    for (std::size_t k = 0; k < n; ++k)
      *places++ = float(token + k);
  }
}

// Means and deviations of the training networks into the draft, over windows of parameters.
void WindowsFit::measure(const FitWork &w, GeneratorDraft &draft) const {
  Progress progress(w.journal, "fit.windows: means and deviations", "parameters", double(parameters_));
  if (config_.normalizer == NormalizerKind::coordinate)
    return coordinate_statistics(w.zoo, w.training,
                                 [&](std::size_t first, std::size_t n, const float *mean, const float *std) {
                                   stop_if_interrupted("fit.windows");
                                   draft.write(windows_mean, first, mean, n), draft.write(windows_std, first, std, n);
                                   progress.update(double(first + n));
                                 });
  const auto &layout = w.zoo.format().layout;
  const std::size_t groups = statistics_of(config_, w.zoo.format());
  std::vector<float> part(std::min(measured_at_once, parameters_));
  std::vector<double> sum(groups), squares(groups), count(groups);
  for (std::size_t first = 0; first < parameters_; first += part.size()) {
    stop_if_interrupted("fit.windows");
    const std::size_t n = std::min(part.size(), parameters_ - first);
    for (const std::size_t row : w.training) {
      w.zoo.theta(row, first, n, part.data());
      std::size_t group = groups == 1 ? 0 : std::size_t(&tensor_at(layout, first) - layout.data());
      for (std::size_t i = 0; i < n; ++i) {
        if (groups > 1 && first + i >= layout[group].offset + elements_of(layout[group]))
          ++group;
        sum[group] += part[i], squares[group] += double(part[i]) * part[i], count[group] += 1;
      }
    }
    progress.update(double(first + n));
  }
  std::vector<float> means, deviations;
  for (std::size_t g = 0; g < groups; ++g) {
    const double average = sum[g] / count[g], variance = squares[g] / count[g] - average * average;
    means.push_back(float(average)), deviations.push_back(variance > 1e-20 ? float(std::sqrt(variance)) : 1.0f);
  }
  draft.write(windows_mean, 0, means.data(), groups), draft.write(windows_std, 0, deviations.data(), groups);
}

void WindowsFit::forward_backward(Stream &s, long step, const Adam &options) {
  const FlowConfig &f = config_.flow;
  const int batch = f.recipe.batch, rows = batch * config_.window;
  const std::size_t chunk = std::size_t(config_.chunk), n = std::size_t(rows) * chunk,
                    window = std::size_t(config_.window) * chunk;
  const auto draw = std::uint32_t(step * rows);
  copy_rows<float>(s, before_, window, tokens_, window + chunk, batch, window);
  copy_rows<float>(s, x0_, window, tokens_ + chunk, window + chunk, batch, window);
  fill_normal<float>(s, noise_, rows, chunk, config_.input_noise, {seed_, Purpose::input_noise, draw});
  add_scaled<float>(s, before_, before_, noise_, 1, n);
  noisy_target(s, x0_, target_, t_, x0_,
               {.rows = rows, .size = chunk, .path = f.noise, .objective = f.objective, .scale = f.noise_scale}, seed_,
               draw, draw);
  const auto step_early = [&](const TensorRange &tensor, float *gradient) {
    flow_weights_.step_early(s, tensor, gradient, options);
  };
  const FinishEarly<float> finish(step_early);
  const auto of_recurrence = recurrence_weights_.parameters(), of_flow = flow_weights_.parameters(&finish);
  const float *context = recurrence_.forward(s, of_recurrence, before_, place_, state_, next_);
  const float *predicted = flow_.forward(s, of_flow, x0_, {.time = t_, .context = context});
  mean_squared_error<float>(s, loss_, flow_.d_out(), predicted, target_, n, partials_);
  flow_.backward(s, of_flow);
  recurrence_.backward(s, of_recurrence, flow_.d_context(), before_, state_);
  copy(s, state_, next_, recurrence_.states() * std::size_t(batch) * sizeof(float));
}

void WindowsFit::run(const FitWork &w) {
  if (w.training.size() != rows_ || w.zoo.parameters() != parameters_)
    throw InputError("fit: found ", w.training.size(), " networks of ", w.zoo.parameters(), " parameters, expected ",
                     rows_, " of ", parameters_);
  const FitRecipe &r = config_.flow.recipe;
  Windows made{config_, w.zoo.format(), {}, {}};
  auto state = load_state(w.state, w.key); // there is one only where the draft's statistics are whole
  if (!std::filesystem::exists(begun(w)))
    state.reset();
  GeneratorDraft draft = draft_of(begun(w), made, {w.key, w.settings}, !state);
  if (!state) {
    std::filesystem::remove(w.state); // another's: its draft is gone
    measure(w, draft);
    draft.sync();
  }
  const StandardParts standard(config_.normalizer, w.zoo.format().layout,
                               [&](bool deviations, std::size_t first, std::size_t count, float *to) {
                                 draft.read(deviations ? windows_std : windows_mean, first, to, count);
                               });
  Stream s(w.device);
  const Arena arena(w.device, plan_);
  recurrence_weights_.initialise(s, seed_, recurrence_stream), flow_weights_.initialise(s, seed_, flow_stream);
  const std::size_t states = recurrence_.states() * std::size_t(r.batch), width = std::size_t(config_.state);
  fill_zero(s, state_, states * sizeof(float));
  long first = 0;
  if (state) {
    first = state->number("step");
    recurrence_weights_.load(s, *state), flow_weights_.load(s, *state);
    state->read(s, "states", state_, states);
  }
  const auto save = [&](long done) {
    TrainingState saved{w.key, {{"step", done}}, {}};
    recurrence_weights_.save(s, saved.tensors), flow_weights_.save(s, saved.tensors);
    saved.tensors.push_back(state_of(s, "states", state_, states));
    save_state(w.state, saved);
  };
  if (!state)
    save(0);
  std::vector<float *> staging;
  for (const auto &buffer : staging_)
    staging.push_back(buffer);
  Prefetch windows(staging, std::uint64_t(first),
                   [&](std::uint64_t step, float *to) { read_window(w, standard, step, to); });
  LrSchedule schedule{.kind = r.schedule, .steps = r.steps};
  schedule.warmup = std::min(config_.flow.warmup, r.steps - 1);
  const std::size_t rows = std::size_t(r.batch) * std::size_t(config_.window),
                    part = std::size_t(r.batch) * std::size_t(1 + config_.window) * std::size_t(config_.chunk);
  Graph graph;
  const auto step = [&](long i, bool report) {
    const Adam options{.lr = r.lr * schedule.at(i),
                       .beta2 = config_.flow.beta2,
                       .weight_decay = r.weight_decay,
                       .step = i + 1,
                       .ema_decay = std::min(r.ema_decay, double(i + 1) / double(i + 11))};
    s.synchronize(); // the copy from the staging buffer that next() gives back
    const float *staged = windows.next();
    copy(s, tokens_, staged, part * sizeof(float));
    copy(s, place_, staged + part, rows * sizeof(float));
    for (int b = 0; b < r.batch; ++b)
      for (int block = 0; block < config_.blocks && place_of(std::uint64_t(i), b).window == 0; ++block)
        fill_zero(s, state_ + std::size_t(block * r.batch + b) * width, width * sizeof(float)); // a network begins
    graph.run(s, [&] {
      forward_backward(s, i, options);
      recurrence_weights_.step(s, options, r.max_norm), flow_weights_.step(s, options, r.max_norm);
    });
    std::vector<std::pair<std::string, double>> metrics;
    if (report)
      metrics = {{"mse", to_host(s, loss_.get(), 1)[0]}, {"lr", options.lr}};
    return metrics;
  };
  StepLoop{w.journal, "fit.windows", r.steps}.run(first, step, save);
  made.recurrence = recurrence_weights_.finish(s), made.flow = flow_weights_.finish(s);
  draft.write(tensors_of(made));
  draft.publish(w.file);
}

} // namespace theta
