#include "transformer_sample.h"
#include "engine/training/interrupt.h"
#include "kernels/add.h"
#include "kernels/names.h"
#include "kernels/random.h"
#include "kernels/standardise.h"
#include <array>

namespace theta {

namespace {
constexpr std::array names{"heun", "euler"};
}

FlowSampler flow_sampler_named(std::string_view name) { return value_named<FlowSampler>(name, names, "flow"); }
const char *name_of(FlowSampler sampler) { return names[std::size_t(sampler)]; }

TransformerSampler::TransformerSampler(const TransformerConfig &config, const NetworkFacts &facts, FlowOptions options)
    : options_(options), parameters_(facts.layout.back().offset + elements_of(facts.layout.back())),
      coder_(config, facts), model_(coder_.shape(config)) {
  const std::int64_t batch = options.batch, size = std::int64_t(model_.size());
  values_ = plan_.reserve<float>("transformer.value", MemoryClass::weights, {std::int64_t(model_.parameters().size())});
  mean_ = plan_.reserve<float>("tokens.mean", MemoryClass::weights, {size});
  std_ = plan_.reserve<float>("tokens.std", MemoryClass::weights, {size});
  const auto activation = [&](const char *name, std::int64_t width) {
    return plan_.reserve<float>(name, MemoryClass::activations, {batch, width}, "sample.batch");
  };
  x_ = activation("sample.x", size), next_ = activation("sample.next", size);
  velocity_ = activation("sample.velocity", size), t_ = activation("sample.t", 1);
  model_.plan(plan_, options.batch, Mode::infer);
  plan_.place();
}

void TransformerSampler::run(Device device, const Transformer &p, std::size_t samples,
                             const std::function<void(std::size_t, std::size_t, const float *)> &emit) {
  Stream s(device);
  const Arena arena(device, plan_);
  model_.bind(arena);
  const auto upload = [&](Slot slot, const std::vector<float> &values) {
    float *to = arena.at<float>(slot);
    copy(s, to, values.data(), values.size() * sizeof(float));
    return to;
  };
  const Parameters<float> weights{upload(values_, p.weights)};
  const float *mean = upload(mean_, p.mean), *std = upload(std_, p.std);
  const int batch = options_.batch;
  const std::size_t size = model_.size(), n = std::size_t(batch) * size;
  float *x = arena.at<float>(x_), *next = arena.at<float>(next_), *velocity = arena.at<float>(velocity_),
        *t = arena.at<float>(t_);
  const auto velocity_at = [&](const float *of, double time) {
    const std::vector<float> times(static_cast<std::size_t>(batch), static_cast<float>(time));
    copy(s, t, times.data(), times.size() * sizeof(float));
    return model_.forward(s, weights, of, t);
  };
  std::vector<float> theta(std::size_t(batch) * parameters_);
  for (std::size_t first = 0; first < samples; first += std::size_t(batch)) {
    fill_normal<float>(s, x, batch, size, 1, {options_.seed, Purpose::sample_start, std::uint32_t(first)});
    for (int i = 0; i < options_.steps; ++i) {
      if (interrupted())
        throw Interrupted("sample: stopped; the same command starts it again");
      const double from = 1 - double(i) / options_.steps, to = 1 - double(i + 1) / options_.steps, h = to - from;
      const float *v = velocity_at(x, from);
      if (options_.sampler == FlowSampler::euler || i + 1 == options_.steps) {
        add_scaled<float>(s, x, x, v, h, n);
        continue;
      }
      copy(s, velocity, v, n * sizeof(float));
      add_scaled<float>(s, next, x, velocity, h, n);
      v = velocity_at(next, to);
      add_scaled<float>(s, x, x, velocity, h / 2, n);
      add_scaled<float>(s, x, x, v, h / 2, n);
    }
    unstandardise<float>(s, x, x, mean, std, batch, size, size);
    const std::size_t count = std::min(std::size_t(batch), samples - first);
    const auto tokens = to_host(s, x, count * size);
    for (std::size_t b = 0; b < count; ++b)
      coder_.decode(theta.data() + b * parameters_, tokens.data() + b * size);
    emit(first, count, theta.data());
  }
}

} // namespace theta
