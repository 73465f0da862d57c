// Whole training steps of p-diff's two networks, as fit runs them, on random numbers.
#include "cases.h"
#include "engine/generators/pdiff/fit.h"
#include <fmt/core.h>

namespace theta {

namespace {

// FLOPs of a step: forward, and twice as much backward.
double conv_flops(int batch, int in, int out, int length, int kernel) {
  return 3.0 * 2.0 * batch * double(length) * in * out * kernel;
}

// The steps that fit makes of networks of V parameters, fifty at a time.
constexpr int batch = 50, rows = 200;

BenchCase step_case(std::string name, double flops, const PDiffConfig &config, std::size_t v, PDiffFit::Phase phase,
                    Backend backend) {
  BenchCase c{std::move(name), 0, flops, {}};
  const PDiffFit planned(config, v, rows, 1, backend);
  c.planned_bytes = double(planned.plan_of(phase).device_bytes());
  c.half_products = config.arithmetic == Arithmetic::bf16;
  // Every weight is read forward and backward, its gradient written and read, and the optimiser passes once.
  c.bytes = double(planned.parameters_of(phase)) * 4 * 12;
  c.prepare = [=](Stream &s) -> std::function<void(int)> {
    auto fit = std::make_shared<PDiffFit>(config, v, rows, 1, s.device().backend);
    return [fit, run = fit->rehearsal(phase, s)](int i) { run(i); };
  };
  return c;
}

PDiffConfig config_of(int latent, std::vector<int> channels, Arithmetic arithmetic, Backend backend) {
  PDiffConfig c;
  c.latent = latent, c.autoencoder_channels = std::move(channels), c.arithmetic = arithmetic;
  c.compact = backend == Backend::cuda;
  c.autoencoder.batch = c.denoiser.batch = batch;
  return c;
}

BenchCase denoiser(int latent, Arithmetic arithmetic, Backend backend) {
  const PDiffConfig config = config_of(latent, {4, 4}, arithmetic, backend);
  const Cnn1dShape shape = config.denoiser_shape();
  double flops = 0;
  for (std::size_t i = 0; i + 1 < shape.channels.size(); ++i)
    flops += conv_flops(batch, shape.channels[i], shape.channels[i + 1], latent, shape.kernel);
  const char *suffix = arithmetic == Arithmetic::bf16 ? "" : "_fp32";
  return step_case(fmt::format("pdiff_denoiser_step_b{}_latent{}{}", batch, latent, suffix), flops, config, 64,
                   PDiffFit::Phase::denoiser, backend);
}

BenchCase autoencoder(int v, int latent, std::vector<int> channels, Arithmetic arithmetic, Backend backend) {
  const PDiffConfig config = config_of(latent, std::move(channels), arithmetic, backend);
  const ConvVaeShape shape = config.autoencoder_shape(std::size_t(v));
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
  return step_case(fmt::format("pdiff_vae_step_b{}_v{}_latent{}{}", batch, v, latent, suffix), flops, config,
                   std::size_t(v), PDiffFit::Phase::autoencoder, backend);
}

} // namespace

std::vector<BenchCase> step_cases(bool gpu) {
  const std::vector<int> channels = ConvVaeShape{.length = 0}.channels;
  if (gpu)
    return {denoiser(128, Arithmetic::bf16, Backend::cuda), denoiser(128, Arithmetic::fp32, Backend::cuda),
            autoencoder(50048, 256, channels, Arithmetic::bf16, Backend::cuda),
            autoencoder(300288, 1024, channels, Arithmetic::bf16, Backend::cuda)};
  return {denoiser(128, Arithmetic::fp32, Backend::cpu), denoiser(128, Arithmetic::bf16, Backend::cpu),
          autoencoder(3072, 64, {8, 16, 32, 32, 16}, Arithmetic::fp32, Backend::cpu)};
}

std::vector<BenchCase> bench_cases(const Device &device) {
  const bool gpu = device.backend == Backend::cuda;
  auto all = operation_cases(gpu);
  for (auto &more : {token_cases(gpu), step_cases(gpu), zoo_cases(gpu), transformer_cases(gpu)})
    all.insert(all.end(), more.begin(), more.end());
  return all;
}

} // namespace theta
