#include "sample.h"
#include "engine/diffusion/solve.h"
#include "engine/memory/arena.h"
#include "engine/training/interrupt.h"
#include "kernels/device/names.h"
#include "kernels/operations/features.h"
#include "kernels/operations/standardise.h"

namespace theta {

SolverKind sampler_named(std::string_view name) {
  constexpr std::array names{"ddpm", "ddim"};
  constexpr std::array kinds{SolverKind::ddpm, SolverKind::ddim};
  return kinds[value_named<std::size_t>(name, names, "sampler")];
}

PDiffSampler::PDiffSampler(const PDiffConfig &config, std::size_t parameters, SampleOptions options, Backend backend)
    : config_(config), parameters_(parameters), options_(options), autoencoder_(config.autoencoder_shape(parameters)),
      denoiser_(config.denoiser_shape()) {
  const int batch = options.batch;
  const auto weights = [&](const char *name, std::size_t n) {
    return plan_.reserve<float>(name, MemoryClass::weights, {std::int64_t(n)}, "fit.latent");
  };
  autoencoder_values_ = weights("autoencoder.value", autoencoder_.parameters().size());
  autoencoder_buffers_ = weights("autoencoder.buffer", autoencoder_.buffers().size());
  denoiser_values_ = weights("denoiser.value", denoiser_.parameters().size());
  denoiser_buffers_ = weights("denoiser.buffer", denoiser_.buffers().size());
  mean_ = weights("normalizer.mean", parameters), std_ = weights("normalizer.std", parameters);
  latent_mean_ = weights("latent.mean", std::size_t(config.latent)),
  latent_std_ = weights("latent.std", std::size_t(config.latent));
  staging_ = plan_.reserve<float>("sample.staging", MemoryClass::staging, {std::int64_t(parameters)});
  z_ = plan_.reserve<float>("sample.z", MemoryClass::activations, {batch, config.latent}, "sample.batch");
  t_ = plan_.reserve<float>("sample.t", MemoryClass::activations, {batch});
  embedding_ =
      plan_.reserve<float>("sample.embedding", MemoryClass::activations, {batch, config.time_width}, "sample.batch");
  denoiser_.plan(plan_, backend, Mode::infer, batch);
  theta_ =
      plan_.reserve<float>("sample.theta", MemoryClass::activations, {batch, std::int64_t(parameters)}, "sample.batch");
  autoencoder_.plan(plan_, backend, ConvVae<float>::Use::decode, batch);
  plan_.holds_beside((autoencoder_.parameters().size() + denoiser_.parameters().size() + 2 * parameters) *
                     sizeof(float));
  plan_.place();
}

void PDiffSampler::run(Device device, const PDiff &p, std::size_t samples, const EmitNetwork &emit,
                       const std::filesystem::path &file) {
  std::optional<Safetensors> open;
  if (config_.streams())
    open.emplace(file);
  autoencoder_.stream_from([&](std::size_t tensor) { return streamed_weights(*open, config_, parameters_, tensor); });
  Stream s(device);
  const Arena arena(device, plan_);
  const auto upload = [&](float *to, const std::vector<float> &values) {
    copy(s, to, values.data(), values.size() * sizeof(float));
    return to;
  };
  const Parameters<float> autoencoder{upload(autoencoder_values_, p.autoencoder), nullptr,
                                      upload(autoencoder_buffers_, p.autoencoder_buffers)};
  const Parameters<float> denoiser{upload(denoiser_values_, p.denoiser), nullptr,
                                   upload(denoiser_buffers_, p.denoiser_buffers)};
  const float *mean = upload(mean_, p.normalizer.mean), *std = upload(std_, p.normalizer.std);
  const float *latent_mean = upload(latent_mean_, p.latent_mean), *latent_std = upload(latent_std_, p.latent_std);

  const int count = options_.sampler == SolverKind::ddpm ? config_.diffusion_steps : options_.ddim_steps;
  const Solver solver = solver_of(options_.sampler, config_.path(), Objective::eps, count, options_.ddim_eta);
  const int batch = options_.batch;
  const std::size_t latent = std::size_t(config_.latent);
  float *z = z_, *theta = theta_;
  for (std::size_t first = 0; first < samples; first += std::size_t(batch)) {
    const auto stream = std::uint32_t(first);
    fill_normal<float>(s, z, batch, latent, solver.start, {options_.seed, Purpose::sample_start, stream});
    solve(
        s, solver, z, nullptr, batch, latent, {options_.seed, Purpose::sample_noise, stream},
        [&](const float *now, double at) {
          stop_if_interrupted("sample");
          const std::vector<float> t(static_cast<std::size_t>(batch), static_cast<float>(at));
          copy(s, t_, t.data(), t.size() * sizeof(float));
          whole_number_features<float>(s, embedding_, t_, batch, config_.time_width);
          return denoiser_.forward(s, denoiser, now, embedding_, Mode::infer);
        },
        [](const SolverStep &, const float *, const float *) {}, [](float *) {});
    unstandardise<float>(s, z, z, latent_mean, latent_std, batch, latent, latent);
    const float *v = autoencoder_.decode(s, autoencoder, z);
    unstandardise<float>(s, theta, v, mean, std, batch, parameters_, std::size_t(autoencoder_.length()));
    emit_networks(s, theta, staging_, first, std::min(std::size_t(batch), samples - first), parameters_, emit);
  }
}

} // namespace theta
