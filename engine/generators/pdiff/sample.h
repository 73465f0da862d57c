// Generates networks with a trained p-diff: noise, denoised in latent space, decoded, and taken back to weights. Sample
// i depends on the seed and i alone.
#pragma once
#include "engine/generators/emit.h"
#include "pdiff.h"

namespace theta {

// ddpm, or ddim. Throws InputError.
SolverKind sampler_named(std::string_view name);

struct SampleOptions {
  SolverKind sampler = SolverKind::ddpm; // or ddim
  int ddim_steps = 100;
  double ddim_eta = 0;
  int batch = 50;
  std::uint64_t seed = 1;
};

class PDiffSampler {
public:
  PDiffSampler(const PDiffConfig &, std::size_t parameters, SampleOptions, Backend);
  PDiffSampler(const PDiffSampler &) = delete;

  const MemoryPlan &plan() const { return plan_; }

  // `file`: of the generator, where its weights stream from it.
  void run(Device, const PDiff &, std::size_t samples, const EmitNetwork &emit, const std::filesystem::path &file = {});

private:
  PDiffConfig config_;
  std::size_t parameters_;
  SampleOptions options_;
  ConvVae<float> autoencoder_;
  Cnn1d<float> denoiser_;
  MemoryPlan plan_{"sample", "sample.batch"};
  Tensor<float> autoencoder_values_, autoencoder_buffers_, denoiser_values_, denoiser_buffers_;
  Tensor<float> mean_, std_, latent_mean_, latent_std_; // [V] twice, [latent] twice
  Tensor<float> staging_;                               // [V]
  Tensor<float> z_, t_, embedding_, theta_;             // [batch, latent], [batch], [batch, time_width], [batch, V]
};

} // namespace theta
