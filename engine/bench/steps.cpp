// Whole training steps of p-diff's two networks: noise, forward, loss, backward and the optimiser, as one graph, on
// random numbers of the right shape.
#include "cases.h"
#include "engine/diffusion/noisy_target.h"
#include "engine/diffusion/path.h"
#include "engine/generators/pdiff/cnn1d.h"
#include "engine/generators/pdiff/conv_vae.h"
#include "engine/memory/arena.h"
#include "engine/training/trainable.h"
#include "kernels/operations/add.h"
#include "kernels/operations/diffusion.h"
#include "kernels/operations/features.h"
#include "kernels/operations/random.h"
#include "kernels/operations/reduce.h"
#include <fmt/core.h>

namespace theta {

namespace {

constexpr int diffusion_steps = 1000;

// FLOPs of a step: forward, and twice as much backward.
double conv_flops(int batch, int in, int out, int length, int kernel) {
  return 3.0 * 2.0 * batch * double(length) * in * out * kernel;
}

struct DenoiserStep {
  int batch;
  Cnn1d<float> model;
  Trainable weights;
  MemoryPlan plan{"bench.denoiser"};
  Tensor<float> z0, zt, eps, t, embedding, alpha_bar, loss, partials;
  std::optional<Arena> arena;
  Graph graph;

  DenoiserStep(const Cnn1dShape &shape, int batch_, Backend backend)
      : batch(batch_), model(shape), weights("denoiser", model.parameters(), model.buffers(), true) {
    weights.plan(plan);
    const std::int64_t b = batch, latent = model.latent();
    const auto floats = [&](const char *name, Shape s) {
      return plan.reserve<float>(name, MemoryClass::activations, std::move(s));
    };
    z0 = floats("z0", {b, latent}), zt = floats("zt", {b, latent}), eps = floats("eps", {b, latent});
    embedding = floats("embedding", {b, model.time_width()}), loss = floats("loss", {1});
    partials = floats("partials", {std::int64_t(partial_sums)});
    alpha_bar = plan.reserve<float>("alpha_bar", MemoryClass::data, {diffusion_steps});
    t = plan.reserve<float>("t", MemoryClass::activations, {b});
    model.plan(plan, backend, Mode::train, batch);
    plan.place();
  }

  void bind(Stream &s) {
    arena.emplace(s.device(), plan);
    weights.initialise(s, 1, 0);
    const auto chain = Path::chain(diffusion_steps, 1e-4, 2e-2);
    const std::vector<float> values(chain.alpha_bar().begin(), chain.alpha_bar().end());
    copy(s, alpha_bar, values.data(), values.size() * sizeof(float));
    s.synchronize();
  }

  void run(Stream &s, int i) {
    const std::size_t latent = std::size_t(model.latent()), n = std::size_t(batch) * latent;
    const NoisePath<float> path(alpha_bar.get(), diffusion_steps);
    graph.run(s, [&] {
      fill_normal<float>(s, z0, batch, latent, 1, {1, Purpose::test, std::uint32_t(i)});
      noisy_target(s, zt, eps, t, z0, {.rows = batch, .size = latent, .path = path, .objective = Objective::eps}, 1,
                   std::uint32_t(i), std::uint32_t(i));
      whole_number_features<float>(s, embedding, t, batch, model.time_width());
      const auto p = weights.parameters();
      const float *out = model.forward(s, p, zt, embedding, Mode::train);
      mean_squared_error<float>(s, loss, model.d_out(), out, eps, n, partials);
      model.backward(s, p, embedding);
      weights.step(s, {.lr = 1e-4, .step = i + 1, .ema_decay = 0.999}, 0);
    });
  }
};

struct VaeStep {
  int batch;
  ConvVae<float> model;
  Trainable weights;
  MemoryPlan plan{"bench.autoencoder"};
  Tensor<float> v, noisy, latent_noise, loss, partials;
  std::optional<Arena> arena;
  Graph graph;

  VaeStep(const ConvVaeShape &shape, int batch_, Backend backend)
      : batch(batch_), model(shape), weights("autoencoder", model.parameters(), model.buffers(), false, model.early()) {
    weights.plan(plan);
    const auto floats = [&](const char *name, Shape s) {
      return plan.reserve<float>(name, MemoryClass::activations, std::move(s));
    };
    v = floats("v", {batch, model.length()}), noisy = floats("noisy", {batch, model.length()});
    latent_noise = floats("latent_noise", {batch, model.latent()});
    loss = floats("loss", {1}), partials = floats("partials", {std::int64_t(partial_sums)});
    model.plan(plan, backend, ConvVae<float>::Use::train, batch);
    plan.place();
  }

  void bind(Stream &s) {
    arena.emplace(s.device(), plan);
    weights.initialise(s, 1, 0);
  }

  void run(Stream &s, int i) {
    const std::size_t length = std::size_t(model.length()), n = std::size_t(batch) * length;
    graph.run(s, [&] {
      fill_normal<float>(s, v, batch, length, 1, {1, Purpose::test, std::uint32_t(i)});
      fill_normal<float>(s, noisy, batch, length, 1e-3, {1, Purpose::input_noise, std::uint32_t(i)});
      fill_normal<float>(s, latent_noise, batch, std::size_t(model.latent()), 0.1,
                         {1, Purpose::latent_noise, std::uint32_t(i)});
      add_scaled<float>(s, noisy, v, noisy, 1, n);
      const Adam options{.lr = 2e-5, .step = i + 1};
      const auto step_early = [&](const TensorRange &tensor, float *gradient) {
        weights.step_early(s, tensor, gradient, options);
      };
      const FinishEarly<float> finish(step_early);
      const auto p = weights.parameters(&finish);
      const float *out = model.forward(s, p, noisy, latent_noise);
      mean_squared_error<float>(s, loss, model.d_out(), out, v, n, partials);
      model.backward(s, p, noisy);
      weights.step(s, options, 0);
    });
  }
};

template <class Step, class ModelShape>
BenchCase step_case(std::string name, double flops, const ModelShape &shape, int batch, Backend backend) {
  BenchCase c{std::move(name), 0, flops, {}};
  Step rehearsal(shape, batch, backend);
  c.planned_bytes = double(rehearsal.plan.device_bytes());
  c.half_products = shape.arithmetic == Arithmetic::bf16;
  // Every weight is read forward and backward, its gradient written and read, and the optimiser passes once.
  c.bytes = double(rehearsal.weights.parameters_size()) * 4 * 12;
  c.prepare = [shape, batch, backend](Stream &s) -> std::function<void(int)> {
    auto step = std::make_shared<Step>(shape, batch, backend);
    step->bind(s);
    return [&s, step](int i) { step->run(s, i); };
  };
  return c;
}

BenchCase denoiser(int batch, int latent, Arithmetic arithmetic, Backend backend) {
  const Cnn1dShape shape{.latent = latent, .arithmetic = arithmetic};
  double flops = 0;
  for (std::size_t i = 0; i + 1 < shape.channels.size(); ++i)
    flops += conv_flops(batch, shape.channels[i], shape.channels[i + 1], latent, shape.kernel);
  const char *suffix = arithmetic == Arithmetic::bf16 ? "" : "_fp32";
  return step_case<DenoiserStep>(fmt::format("pdiff_denoiser_step_b{}_latent{}{}", batch, latent, suffix), flops, shape,
                                 batch, backend);
}

BenchCase autoencoder(int batch, int v, int latent, std::vector<int> channels, Arithmetic arithmetic, Backend backend) {
  const ConvVaeShape shape{.length = v,
                           .channels = std::move(channels),
                           .latent = latent,
                           .arithmetic = arithmetic,
                           .keeping = {.compact = backend == Backend::cuda}};
  const auto &c = shape.channels;
  double flops = 3.0 * 2.0 * batch * 2 * double(latent) * c.back() * (v >> c.size());
  int in = 1, length = v;
  for (std::size_t i = 0; i < c.size(); ++i) { // a level up mirrors a level down
    const int out = c[i];
    length /= 2;
    flops += conv_flops(batch, in, out, length, shape.kernel);
    flops += conv_flops(batch, i == 0 ? c[0] : in, out, length, shape.kernel);
    in = out;
  }
  flops += conv_flops(batch, c[0], 1, v, shape.kernel);
  const char *suffix = arithmetic == Arithmetic::bf16 ? "" : "_fp32";
  return step_case<VaeStep>(fmt::format("pdiff_vae_step_b{}_v{}_latent{}{}", batch, v, latent, suffix), flops, shape,
                            batch, backend);
}

} // namespace

std::vector<BenchCase> step_cases(bool gpu) {
  const std::vector<int> channels = ConvVaeShape{.length = 0}.channels;
  if (gpu)
    return {denoiser(50, 128, Arithmetic::bf16, Backend::cuda), denoiser(50, 128, Arithmetic::fp32, Backend::cuda),
            autoencoder(50, 50048, 256, channels, Arithmetic::bf16, Backend::cuda),
            autoencoder(50, 300288, 1024, channels, Arithmetic::bf16, Backend::cuda)};
  return {denoiser(50, 128, Arithmetic::fp32, Backend::cpu),
          autoencoder(50, 3072, 64, {8, 16, 32, 32, 16}, Arithmetic::fp32, Backend::cpu)};
}

std::vector<BenchCase> bench_cases(const Device &device) {
  const bool gpu = device.backend == Backend::cuda;
  auto all = operation_cases(gpu);
  for (auto &more : {token_cases(gpu), step_cases(gpu), zoo_cases(gpu), transformer_cases(gpu)})
    all.insert(all.end(), more.begin(), more.end());
  return all;
}

} // namespace theta
