#include "sample.h"
#include "engine/diffusion/solve.h"
#include "engine/memory/arena.h"
#include "engine/training/interrupt.h"
#include "kernels/device/parallel.h"
#include "kernels/operations/add.h"
#include "kernels/operations/code_posterior.h"
#include "kernels/operations/convert.h"
#include "kernels/operations/random.h"
#include "kernels/operations/units.h"
#include "models.h"
#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

namespace theta {

FlowSampler::FlowSampler(const FlowConfig &config, const NetworkFacts &facts, SolverOptions options)
    : FlowSampler(config, TokenCoder(config, facts), model_of(config, TokenCoder(config, facts)), options,
                  facts.shape) {}

FlowSampler::FlowSampler(const FlowConfig &config, TokenCoder coder, std::unique_ptr<FlowModel<float>> model,
                         SolverOptions options, const std::optional<NetworkShape> &shape)
    : options_(options), coder_(std::move(coder)), parameters_(coder_.parameters()), conditions_(config.conditions),
      start_(config.start), residual_(config.residual), guided_(options.guidance != 1 && conditions_.size() > 0),
      noise_scale_(config.noise_scale), objective_(config.objective), path_(config.noise),
      solver_(solver_of(options.solver, config.noise, config.objective, options.steps, options.eta)),
      model_(std::move(model)) {
  if (options.round_below > 0) {
    if (shape && is_coded(*shape))
      into_form_ = [rows = CodedRows(*shape)](float *row) { rows.round(row); };
    else if (shape && shape->form.kind != FormKind::floats)
      into_form_ = IntoForm(*shape);
    else
      throw InputError("sample.round_below: found ", options.round_below, ", expected 0 of networks without a form");
  }
  const std::int64_t batch = options.batch, size = std::int64_t(coder_.tokens().size()),
                     k = std::int64_t(conditions_.size());
  values_ =
      plan_.reserve<float>("transformer.value", MemoryClass::weights, {std::int64_t(model_->parameters().size())});
  if (model_->reads_narrow())
    narrow_values_ =
        plan_.reserve<bf16>("transformer.narrow", MemoryClass::weights, {std::int64_t(model_->parameters().size())});
  place_ = plan_.reserve<std::int32_t>("tokens.place", MemoryClass::weights, {size});
  if (!coder_.seconds().empty()) {
    second_ = plan_.reserve<std::int32_t>("tokens.second", MemoryClass::weights, {size});
    if (options.guidance != 1 || residual_)
      throw InputError("fit.codes: found categorical with sample.guidance = ", options.guidance,
                       " or residual, expected guidance of 1, and no residual");
  }
  mean_ = plan_.reserve<float>("tokens.mean", MemoryClass::weights, {size});
  std_ = plan_.reserve<float>("tokens.std", MemoryClass::weights, {size});
  const auto activation = [&](const char *name, std::int64_t rows, std::int64_t width) {
    return plan_.reserve<float>(name, MemoryClass::activations, {rows, width}, "sample.batch");
  };
  x_ = activation("sample.x", batch, size), next_ = activation("sample.next", batch, size);
  prediction_ = activation("sample.prediction", batch, size), t_ = activation("sample.t", batch, 1);
  if (guided_)
    told_prediction_ = activation("sample.told_prediction", batch, size);
  if (k > 0)
    told_ = activation("sample.told", 2 * k, batch); // and NaN as often: nothing
  if (start_)
    start_tokens_ = activation("sample.start", batch, size);
  theta_ = activation("sample.theta", batch, std::int64_t(parameters_));
  if (options.guided || into_form_)
    x0_ = activation("sample.x0", batch, size);
  if (options.guided) {
    slope_ = activation("sample.slope", batch, std::int64_t(parameters_));
    token_slope_ = activation("sample.token_slope", batch, size);
    zero_ = plan_.reserve<float>("sample.zero", MemoryClass::weights, {size});
    inverse_ = plan_.reserve<float>("sample.inverse", MemoryClass::weights, {size});
  }
  staging_ = plan_.reserve<float>("sample.staging", MemoryClass::staging, {std::int64_t(parameters_)});
  model_->plan_for(plan_, {options.batch}, Mode::infer);
  plan_.holds_beside(model_->parameters().size() * sizeof(float));
  plan_.place();
}

void FlowSampler::answer(Stream &s, float *prediction, const float *z) const {
  const CodeElements<float> codes{options_.batch, coder_.tokens().size(), second_, coder_.most_code(), mean_, std_};
  code_moments<float>(s, prediction, z, t_, path_.schedule(), codes);
  code_answers<float>(s, prediction, z, t_, path_.schedule(), objective_, codes);
}

// The model's answer, guided, less nothing: a residual model's plus the start. Valid until the next.
const float *FlowSampler::predict(Stream &s, const Parameters<float> &weights, const float *z, double t, Guide *by) {
  const int batch = options_.batch;
  const std::size_t n = std::size_t(batch) * coder_.tokens().size();
  const std::vector<float> times(static_cast<std::size_t>(batch), static_cast<float>(t));
  copy(s, t_, times.data(), times.size() * sizeof(float));
  float *told = told_, *start = start_tokens_, *out = prediction_;
  copy(s, out, model_->forward(s, weights, z, {t_, told, start}), n * sizeof(float));
  if (guided_) {
    const float *untold = model_->forward(s, weights, z, {t_, told + conditions_.size() * std::size_t(batch), start});
    denoise_step<float>(s, out, untold, batch, coder_.tokens().size(), {options_.guidance, 1 - options_.guidance, 0},
                        {options_.seed, Purpose::sample_noise});
  }
  if (second_)
    answer(s, out, z);
  if (residual_)
    add_scaled<float>(s, out, out, start, 1, n);
  if (by)
    guide(s, *by, out, z, t);
  if (into_form_ && t < options_.round_below)
    round(s, out, z, t);
  return out;
}

// What an answer means x0 to be, in x0_; nothing where no answer would change it. And the answer that means what is there.
bool FlowSampler::take_x0(Stream &s, const float *prediction, const float *z, double t) {
  const Reading r = reading_of(objective_, path_.at(t));
  if (r.x0_p == 0)
    return false;
  const std::size_t size = coder_.tokens().size();
  copy(s, x0_, z, std::size_t(options_.batch) * size * sizeof(float));
  denoise_step<float>(s, x0_, prediction, options_.batch, size, {r.x0_z, r.x0_p, 0},
                      {options_.seed, Purpose::sample_noise});
  return true;
}
void FlowSampler::mean_x0(Stream &s, float *prediction, const float *z, double t) {
  const Reading r = reading_of(objective_, path_.at(t));
  const std::size_t size = coder_.tokens().size();
  copy(s, prediction, x0_, std::size_t(options_.batch) * size * sizeof(float));
  denoise_step<float>(s, prediction, z, options_.batch, size, {1 / r.x0_p, -r.x0_z / r.x0_p, 0},
                      {options_.seed, Purpose::sample_noise});
}

// The answer that means x0 in the networks' form.
void FlowSampler::round(Stream &s, float *prediction, const float *z, double t) {
  if (!take_x0(s, prediction, z, t))
    return;
  const int batch = options_.batch;
  const std::size_t size = coder_.tokens().size();
  scatter_tokens<float>(s, theta_, x0_, place_, mean_, std_, batch, parameters_, size);
  auto networks = to_host(s, theta_.get(), std::size_t(batch) * parameters_);
  parallel_for(batch, 1e3 * double(networks.size()),
               [&](int i) { into_form_(networks.data() + std::size_t(i) * parameters_); });
  copy(s, theta_, networks.data(), networks.size() * sizeof(float));
  coder_.balance(s, theta_, batch);
  gather_tokens<float>(s, x0_, theta_, place_, mean_, std_, batch, 1, parameters_, size, {});
  mean_x0(s, prediction, z, t);
  s.synchronize();
}

// The answer that means x0 nearer to what is known.
void FlowSampler::guide(Stream &s, Guide &by, float *prediction, const float *z, double t) {
  if (!take_x0(s, prediction, z, t))
    return;
  const int batch = options_.batch;
  const std::size_t size = coder_.tokens().size(), n = std::size_t(batch) * size;
  float *x0 = x0_, *slope = token_slope_;
  for (int step = 0; step < Guide::steps; ++step) {
    scatter_tokens<float>(s, theta_, x0, place_, mean_, std_, batch, parameters_, size);
    const auto missed = by.slope(s, slope_, theta_);
    // ∂θ/∂token is the deviation: as tokens of mean 0 and its inverse.
    gather_tokens<float>(s, slope, slope_, place_, zero_, inverse_, batch, 1, parameters_, size, {});
    auto down = to_host(s, slope, n);
    std::vector<double> length(std::size_t(batch), 0);
    for (std::size_t at = 0; at < n; ++at) {
      const double steep = down[at];
      down[at] *= token_variance_[at % size];
      length[at / size] += steep * double(down[at]);
    }
    copy(s, slope, down.data(), n * sizeof(float));
    for (std::size_t i = 0; i < std::size_t(batch); ++i) {
      if (const double squares = length[i]; squares > 0)
        add_scaled<float>(s, x0 + i * size, x0 + i * size, slope + i * size, -missed[i] / squares, size);
    }
    s.synchronize();
  }
  mean_x0(s, prediction, z, t);
}

// What samples first..first+count−1 are told, and their starts' tokens; the rest of the batch as its last.
void FlowSampler::tell(Stream &s, const TrainedFlow &p, const Prompts &prompts, std::size_t first, std::size_t count) {
  const std::size_t k = conditions_.size(), batch = std::size_t(options_.batch);
  if (k > 0) { // nothing, where training told nothing
    std::vector<float> told(2 * k * batch, std::numeric_limits<float>::quiet_NaN());
    for (std::size_t c = 0; c < k && p.config.drop < 1; ++c)
      for (std::size_t b = 0; b < batch; ++b) {
        const float value = prompts.told[(first + std::min(b, count - 1)) * k + c];
        const auto [low, high] = p.ranges[c];
        told[c * batch + b] = conditions_.all()[c].classes > 0 ? value : (value - low) / (high - low);
      }
    copy(s, told_, told.data(), told.size() * sizeof(float));
  }
  if (start_) {
    std::vector<float> tokens(batch * coder_.tokens().size());
    for (std::size_t b = 0; b < batch; ++b) {
      const auto from = prompts.start.begin() + std::ptrdiff_t((first + std::min(b, count - 1)) * parameters_);
      std::vector<float> theta(from, from + std::ptrdiff_t(parameters_));
      coder_.encode(tokens.data() + b * coder_.tokens().size(), theta.data());
      for (std::size_t e = 0; e < coder_.tokens().size(); ++e)
        if (coder_.tokens().place[e] >= 0)
          tokens[b * coder_.tokens().size() + e] = (tokens[b * coder_.tokens().size() + e] - p.mean[e]) / p.std[e];
    }
    copy(s, start_tokens_, tokens.data(), tokens.size() * sizeof(float));
  }
  s.synchronize();
}

// The noise that samples first, first + 1, ... begin with: of their own, or on quarters of circles from one noise to
// the next, where it keeps its deviation.
void FlowSampler::begin(Stream &s, float *x, std::size_t first) {
  const std::size_t size = coder_.tokens().size();
  const double deviation = solver_.start * noise_scale_;
  const auto draws = [&](std::size_t stream) {
    return Draws{options_.seed, Purpose::sample_start, std::uint32_t(stream)};
  };
  if (options_.between == 0)
    return fill_normal<float>(s, x, options_.batch, size, deviation, draws(first));
  float *other = next_;
  for (std::size_t i = 0; i < std::size_t(options_.batch); ++i) {
    const std::size_t from = (first + i) / std::size_t(options_.between);
    const double angle =
        std::numbers::pi / 2 * double((first + i) % std::size_t(options_.between)) / double(options_.between);
    fill_normal<float>(s, x + i * size, 1, size, deviation, draws(from));
    fill_normal<float>(s, other, 1, size, deviation, draws(from + 1));
    denoise_step<float>(s, x + i * size, other, 1, size, {std::cos(angle), std::sin(angle), 0},
                        {options_.seed, Purpose::sample_noise});
  }
}

void FlowSampler::run(Device device, const TrainedFlow &p, std::size_t samples, const Prompts &prompts,
                      const EmitNetwork &emit, std::size_t watched, const EmitNetwork &watch, Guide *guide) {
  if (prompts.told.size() != samples * conditions_.size() ||
      prompts.start.size() != (start_ ? samples * parameters_ : 0))
    throw InputError("sample: found prompts of ", prompts.told.size(), " numbers and ", prompts.start.size(),
                     " weights, expected ", samples * conditions_.size(), " and ", start_ ? samples * parameters_ : 0);
  Stream s(device);
  const Arena arena(device, plan_);
  const auto upload = [&](float *to, const std::vector<float> &values) {
    copy(s, to, values.data(), values.size() * sizeof(float));
  };
  upload(values_, p.weights), upload(mean_, p.mean), upload(std_, p.std);
  if (bool(guide) != options_.guided)
    throw Error("sample: found ", guide ? "a" : "no", " guide, expected what the options say");
  if (guide) {
    std::vector<float> inverse;
    const auto variance = guide->variances();
    token_variance_.clear();
    for (std::size_t e = 0; e < p.std.size(); ++e) {
      const std::int32_t place = coder_.tokens().place[e];
      inverse.push_back(1 / p.std[e]);
      token_variance_.push_back(
          variance.empty() || place < 0 ? 1.0f : variance[std::size_t(place)] * inverse.back() * inverse.back());
    }
    upload(inverse_, inverse);
    fill_zero(s, zero_, p.std.size() * sizeof(float));
    s.synchronize();
  }
  model_->upload(s);
  Parameters<float> weights{values_};
  if (model_->reads_narrow()) {
    narrow(s, narrow_values_, values_, p.weights.size());
    weights.narrow_value = narrow_values_;
  }
  const auto &places = coder_.tokens().place;
  copy(s, place_, places.data(), places.size() * sizeof(std::int32_t));
  if (second_)
    copy(s, second_, coder_.seconds().data(), coder_.seconds().size() * sizeof(std::int32_t));
  const int batch = options_.batch;
  const std::size_t size = coder_.tokens().size(), n = std::size_t(batch) * size;
  float *x = x_, *next = next_;
  const auto clear = [&](float *z) {
    if (coder_.has_padding())
      clear_padding<float>(s, z, place_, batch, size);
  };
  for (std::size_t first = 0; first < samples; first += std::size_t(batch)) {
    const std::size_t count = std::min(std::size_t(batch), samples - first);
    tell(s, p, prompts, first, count);
    begin(s, x, first);
    clear(x);
    if (guide)
      guide->begin(s, first);
    const std::size_t seen = watched > first ? std::min(watched - first, count) : 0,
                      rows = 2 * solver_.steps.size() + 1;
    const auto show = [&](const float *z, std::size_t row) {
      scatter_tokens<float>(s, theta_, z, place_, mean_, std_, int(seen), parameters_, size);
      emit_networks(s, theta_, staging_, 0, seen, parameters_,
                    [&](std::size_t i, std::span<const float> theta) { watch((first + i) * rows + row, theta); });
    };
    std::size_t row = 0;
    const Draws noise{options_.seed, Purpose::sample_noise, std::uint32_t(first)};
    solve(
        s, solver_, x, next, batch, size, noise,
        [&](const float *z, double t) {
          stop_if_interrupted("sample");
          return predict(s, weights, z, t, guide);
        },
        [&](const SolverStep &step, const float *z, const float *prediction) {
          if (seen == 0)
            return;
          const Reading x0 = reading_of(objective_, path_.at(step.t));
          show(z, row++);
          copy(s, next, z, n * sizeof(float));
          denoise_step<float>(s, next, prediction, batch, size, {x0.x0_z, x0.x0_p, 0}, noise);
          show(next, row++);
        },
        clear);
    if (seen > 0)
      show(x, row);
    scatter_tokens<float>(s, theta_, x, place_, mean_, std_, int(count), parameters_, size);
    emit_networks(s, theta_, staging_, first, count, parameters_, emit);
  }
}

} // namespace theta
