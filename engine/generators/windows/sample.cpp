#include "sample.h"
#include "engine/diffusion/solve.h"
#include "engine/memory/arena.h"
#include "engine/training/interrupt.h"
#include "kernels/operations/convert.h"
#include "kernels/operations/random.h"

namespace theta {

WindowsSampler::WindowsSampler(const WindowsConfig &config, std::size_t parameters, SolverOptions options)
    : config_(config), parameters_(parameters), options_(options),
      solver_(solver_of(options.solver, config.flow.noise, config.flow.objective, options.steps, options.eta)),
      recurrence_(config.recurrence()), flow_(config.token_flow()) {
  const std::int64_t b = options.batch, w = config.chunk, n = config.window;
  const auto weights = [&]<class T>(T, const char *name, std::size_t size) {
    return plan_.reserve<T>(name, MemoryClass::weights, {std::int64_t(size)});
  };
  recurrence_values_ = weights(float{}, "recurrence.value", recurrence_.parameters().size());
  flow_values_ = weights(float{}, "flow.value", flow_.parameters().size());
  if (flow_.reads_narrow())
    narrow_values_ = weights(bf16{}, "flow.narrow", flow_.parameters().size());
  const auto activation = [&](const char *name, std::int64_t rows, std::int64_t width) {
    return plan_.reserve<float>(name, MemoryClass::activations, {rows, width}, "batch");
  };
  x_ = activation("sample.x", b, w), next_ = activation("sample.next", b, w);
  t_ = activation("sample.t", b, 1), place_ = activation("sample.place", b, 1);
  state_ = activation("sample.state", b, std::int64_t(recurrence_.states()));
  const auto staging = [&](const char *name, std::int64_t rows, std::int64_t width) {
    return plan_.reserve<float>(name, MemoryClass::staging, {rows, width}, "batch, fit.windows.window");
  };
  window_ = staging("sample.window", b, n * w), token_ = staging("sample.token", b, w);
  statistics_ = staging("sample.statistics", 2, n * w);
  recurrence_.plan(plan_, options.batch, 1, Mode::infer);
  flow_.plan(plan_, options.batch, Mode::infer);
  plan_.holds_beside((recurrence_.parameters().size() + flow_.parameters().size()) * sizeof(float));
  plan_.place();
}

const float *WindowsSampler::predict(Stream &s, const Parameters<float> &p, const float *x, double t,
                                     const float *context) {
  const std::vector<float> times(std::size_t(options_.batch), float(t));
  copy(s, t_, times.data(), times.size() * sizeof(float));
  if (s.is_cuda())
    s.synchronize(); // `times` goes
  return flow_.forward(s, p, x, {.time = t_, .context = context});
}

// Token `token` of every sample of the batch into x_, from noise.
void WindowsSampler::make_token(Stream &s, const Parameters<float> &p, const float *context, std::uint32_t first_sample,
                                std::size_t token) {
  const int batch = options_.batch;
  const std::size_t chunk = std::size_t(config_.chunk);
  const std::size_t draws = token * chunk;
  float *x = x_, *next = next_;
  fill_normal<float>(s, x, batch, chunk, solver_.start * config_.flow.noise_scale,
                     {options_.seed, Purpose::sample_start, first_sample, draws});
  solve(
      s, solver_, x, next, batch, chunk,
      {options_.seed, Purpose::sample_noise, first_sample, draws * solver_.steps.size()},
      [&](const float *z, double t) { return predict(s, p, z, t, context); },
      [](const SolverStep &, const float *, const float *) {}, [](float *) {});
}

void WindowsSampler::run(Device device, const Windows &w, const std::filesystem::path &path, std::size_t samples,
                         const EmitPart &emit) {
  const Safetensors file(path);
  const StandardParts standard(config_.normalizer, w.networks.layout,
                               [&](bool deviations, std::size_t first, std::size_t count, float *to) {
                                 file.read(file.tensor(deviations ? windows_std : windows_mean), first * sizeof(float),
                                           to, count * sizeof(float));
                               });
  Stream s(device);
  const Arena arena(device, plan_);
  copy(s, recurrence_values_, w.recurrence.data(), w.recurrence.size() * sizeof(float));
  copy(s, flow_values_, w.flow.data(), w.flow.size() * sizeof(float));
  const Parameters<float> of_recurrence{recurrence_values_};
  Parameters<float> of_flow{flow_values_};
  if (flow_.reads_narrow()) {
    narrow(s, narrow_values_, flow_values_, w.flow.size());
    of_flow.narrow_value = narrow_values_;
  }
  const std::size_t batch = std::size_t(options_.batch), chunk = std::size_t(config_.chunk),
                    tokens = config_.tokens(parameters_), held = std::size_t(config_.window);
  for (std::size_t first = 0; first < samples; first += batch) {
    const std::size_t count = std::min(batch, samples - first);
    fill_zero(s, state_, batch * recurrence_.states() * sizeof(float));
    fill_zero(s, x_, batch * chunk * sizeof(float)); // before the first token there is none
    for (std::size_t token = 0; token < tokens; ++token) {
      stop_if_interrupted("sample");
      const std::vector<float> places(batch, float(token));
      copy(s, place_, places.data(), batch * sizeof(float));
      s.synchronize();
      const float *context = recurrence_.forward(s, of_recurrence, x_, place_, state_, state_);
      make_token(s, of_flow, context, std::uint32_t(first), token);
      copy(s, token_, x_, batch * chunk * sizeof(float));
      s.synchronize();
      for (std::size_t i = 0; i < count; ++i)
        std::copy_n(token_ + i * chunk, chunk, window_ + (i * held + token % held) * chunk);
      if (token % held + 1 < held && token + 1 < tokens)
        continue;
      const std::size_t at = token / held * held * chunk, n = std::min(parameters_, (token + 1) * chunk) - at;
      for (std::size_t i = 0; i < count; ++i) {
        float *theta = window_ + i * held * chunk;
        standard.unstandardise(theta, at, n, statistics_);
        emit(first + i, at, {theta, n});
      }
    }
  }
}

} // namespace theta
