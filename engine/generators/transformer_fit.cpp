#include "transformer_fit.h"
#include "engine/training/state_file.h"
#include "engine/training/step_loop.h"
#include "kernels/flow.h"
#include "kernels/gather.h"
#include "kernels/random.h"
#include "kernels/reduce.h"
#include "kernels/standardise.h"
#include <cmath>

namespace theta {

namespace {

constexpr std::uint32_t order_stream = 2; // of batches and initial values
constexpr int staged_batches = 3;

std::size_t parameters_of(const NetworkFacts &facts) {
  return facts.layout.back().offset + elements_of(facts.layout.back());
}

} // namespace

TransformerFit::TransformerFit(TransformerConfig config, const NetworkFacts &facts, std::size_t rows,
                               std::uint64_t seed)
    : config_(std::move(config)), parameters_(parameters_of(facts)), rows_(rows), seed_(seed), coder_(config_, facts),
      model_(coder_.shape(config_)),
      weights_("transformer", model_.parameters(), model_.buffers(), config_.recipe.ema_decay > 0) {
  if (rows < 2)
    throw InputError("fit: found ", rows, " networks to train on, expected at least 2");
  const std::int64_t batch = config_.recipe.batch, v = std::int64_t(parameters_), size = std::int64_t(model_.size());
  weights_.plan(plan_);
  for (int i = 0; i < staged_batches; ++i)
    staging_.push_back(
        plan_.reserve<float>(text("fit.staging.", i), MemoryClass::staging, {batch, v}, "fit.transformer.batch"));
  tokens_staging_ =
      plan_.reserve<float>("fit.staging.tokens", MemoryClass::staging, {batch, size}, "fit.transformer.batch");
  mean_ = plan_.reserve<float>("tokens.mean", MemoryClass::data, {size});
  std_ = plan_.reserve<float>("tokens.std", MemoryClass::data, {size});
  const auto activation = [&](const char *name, std::int64_t width) {
    return plan_.reserve<float>(name, MemoryClass::activations, {batch, width}, "fit.transformer.batch");
  };
  tokens_ = activation("fit.tokens", size), x0_ = activation("fit.x0", size);
  velocity_ = activation("fit.velocity", size), t_ = activation("fit.t", 1);
  loss_ = plan_.reserve<float>("fit.loss", MemoryClass::workspace, {1});
  partials_ = plan_.reserve<float>("fit.partials", MemoryClass::workspace, {std::int64_t(partial_sums)});
  model_.plan(plan_, config_.recipe.batch, Mode::train);
  plan_.place();
}

// Mean and standard deviation of every element of the tokens; of an exchangeable type, over its tokens too. In double,
// two passes over the mapped file.
void TransformerFit::measure_tokens(const ZooReader &zoo, const std::vector<std::size_t> &rows, Transformer &to) const {
  const std::size_t size = model_.size();
  std::vector<std::size_t> shared(size); // the first element that has the same statistics
  std::size_t at = 0;
  for (const TokenType &type : coder_.tokens().types)
    for (int i = 0; i < type.count; ++i)
      for (int e = 0; e < type.width; ++e, ++at)
        shared[at] = type.exchangeable ? at - std::size_t(i) * std::size_t(type.width) : at;
  std::vector<double> sum(size, 0), squares(size, 0), count(size, 0);
  std::vector<float> theta(parameters_), tokens(size);
  const auto for_rows = [&](auto f) {
    for (const std::size_t row : rows) {
      zoo.theta(row, theta.data());
      coder_.encode(tokens.data(), theta.data());
      for (std::size_t i = 0; i < size; ++i)
        f(shared[i], double(tokens[i]));
    }
  };
  for_rows([&](std::size_t i, double value) { sum[i] += value, count[i] += 1; });
  for_rows([&](std::size_t i, double value) { squares[i] += std::pow(value - sum[i] / count[i], 2); });
  to.mean.resize(size), to.std.resize(size);
  for (std::size_t i = 0; i < size; ++i) {
    const std::size_t of = shared[i];
    const double deviation = std::sqrt(squares[of] / count[of]);
    to.mean[i] = float(sum[of] / count[of]), to.std[i] = deviation > 1e-12 ? float(deviation) : 1.0f;
  }
}

Transformer TransformerFit::run(Device device, const ZooReader &zoo, const std::vector<std::size_t> &rows,
                                const std::filesystem::path &state_path, const std::string &key, Journal &journal) {
  if (rows.size() != rows_ || zoo.parameters() != parameters_)
    throw InputError("fit: found ", rows.size(), " networks of ", zoo.parameters(), " parameters, expected ", rows_,
                     " of ", parameters_);
  const FitRecipe &r = config_.recipe;
  const auto state = load_state(state_path, key);
  const long first = state ? state->number("step") : 0;
  Transformer result{.config = config_, .networks = zoo.format(), .mean = {}, .std = {}, .weights = {}};
  measure_tokens(zoo, rows, result);

  Stream s(device);
  const Arena arena(device, plan_);
  model_.bind(arena), weights_.bind(arena);
  weights_.initialise(s, seed_, order_stream);
  if (state)
    weights_.load(s, state->tensors);
  const std::size_t size = model_.size(), n = std::size_t(r.batch) * size;
  float *mean = arena.at<float>(mean_), *std = arena.at<float>(std_), *tokens = arena.at<float>(tokens_);
  float *x0 = arena.at<float>(x0_), *velocity = arena.at<float>(velocity_), *t = arena.at<float>(t_);
  float *loss = arena.at<float>(loss_), *staged = arena.at<float>(tokens_staging_);
  copy(s, mean, result.mean.data(), size * sizeof(float));
  copy(s, std, result.std.data(), size * sizeof(float));
  s.synchronize();

  std::vector<float *> staging;
  for (const Slot slot : staging_)
    staging.push_back(arena.at<float>(slot));
  Prefetch batches(zoo, staging, std::uint64_t(first), [&](std::uint64_t step) {
    const BatchOrder order{1, r.batch, std::uint32_t(rows.size()), seed_, order_stream, step};
    std::vector<std::size_t> chosen;
    for (int b = 0; b < r.batch; ++b)
      chosen.push_back(rows[order.example(0, b)]);
    return chosen;
  });
  LrSchedule schedule{.kind = r.schedule, .steps = r.steps};
  schedule.warmup = std::min(config_.warmup, r.steps - 1);
  Graph graph;
  const auto step = [&](long i, bool report) {
    s.synchronize(); // the copy out of the tokens' staging, and the batch that next() gives back
    const float *networks = batches.next();
    std::vector<float> theta(parameters_);
    for (int b = 0; b < r.batch; ++b) {
      std::copy_n(networks + std::size_t(b) * parameters_, parameters_, theta.data());
      coder_.encode(staged + std::size_t(b) * size, theta.data());
    }
    copy(s, tokens, staged, n * sizeof(float));
    const Adam options{.lr = r.lr * schedule.at(i),
                       .beta2 = config_.beta2,
                       .weight_decay = r.weight_decay,
                       .step = i + 1,
                       .ema_decay = std::min(r.ema_decay, double(i + 1) / double(i + 11))};
    graph.run(s, [&] {
      const auto draw = std::uint32_t(i * r.batch);
      standardise<float>(s, x0, tokens, mean, std, r.batch, size, size);
      fill_normal<float>(s, velocity, r.batch, size, 1, {seed_, Purpose::diffusion_noise, draw});
      draw_times<float>(s, t, r.batch, {seed_, Purpose::diffusion_time, draw});
      flow_mix<float>(s, x0, velocity, x0, velocity, t, r.batch, size);
      const auto parameters = weights_.parameters();
      const float *predicted = model_.forward(s, parameters, x0, t);
      mean_squared_error<float>(s, loss, model_.d_out(), predicted, velocity, n, arena.at<float>(partials_));
      model_.backward(s, parameters);
      weights_.step(s, options, r.max_norm);
    });
    std::vector<std::pair<std::string, double>> metrics;
    if (report)
      metrics = {{"mse", to_host(s, loss, 1)[0]}, {"lr", options.lr}};
    return metrics;
  };
  StepLoop{journal, "fit.transformer", r.steps}.run(first, step, [&](long done) {
    HostTensors tensors;
    weights_.save(s, tensors);
    save_state(state_path, {key, {{"step", done}}, std::move(tensors)});
  });
  result.weights = weights_.result(s);
  return result;
}

} // namespace theta
