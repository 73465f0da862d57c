// p-diff (Wang et al., "Neural Network Diffusion", 2024), whole: normaliser, autoencoder, and a diffusion process on
// its latents. One departure: latents are standardised per dimension over the training networks before diffusion, whose
// noise has unit variance; the published code leaves their scale to chance.
#pragma once
#include "cnn1d.h"
#include "conv_vae.h"
#include "engine/diffusion/solver.h"
#include "engine/generators/fit_recipe.h"
#include "engine/generators/generator_file.h"
#include "engine/training/streamed_store.h"
#include "engine/weights/normalizer.h"

namespace theta {

struct PDiffConfig {
  NormalizerKind normalizer = NormalizerKind::tensor;
  std::vector<int> autoencoder_channels{64, 128, 256, 256, 32};
  int autoencoder_kernel = 7, latent = 256;
  double input_noise = 1e-3, latent_noise = 0.1;
  FitRecipe autoencoder{.lr = 2e-5};
  std::vector<int> denoiser_channels{1, 64, 128, 256, 512, 256, 128, 64, 1};
  int denoiser_kernel = 7, time_width = 256;
  FitRecipe denoiser{};
  int diffusion_steps = 1000;
  double beta_first = 1e-4, beta_last = 2e-2;
  Arithmetic arithmetic = Arithmetic::fp32; // of both networks
  bool compact = false;                     // the autoencoder's training, in little memory (conv_vae.h)
  int tile = 0; // elements of V that the autoencoder's activations are made for at a time; 0: all (conv_tiles.h)
  Streaming stream = Streaming::none; // of the autoencoder's two wide layers (streamed_linear.h)
  bool streams() const { return stream != Streaming::none; }
  MomentStorage moments = MomentStorage::fp32; // of what streams (training/moments.h)

  // The flattened length that the autoencoder sees: V, padded with zeros.
  int padded(std::size_t parameters) const;
  ConvVaeShape autoencoder_shape(std::size_t parameters) const;
  Cnn1dShape denoiser_shape() const;
  Path path() const { return Path::chain(diffusion_steps, beta_first, beta_last); }
};

// The settings of [fit], [fit.autoencoder] and [fit.denoiser].
void describe(Keys &, PDiffConfig &);
void check(const PDiffConfig &); // throws InputError for settings that do not go together

// A trained p-diff, in host memory.
struct PDiff {
  PDiffConfig config;
  ZooFormat networks; // what it generates: layout and facts of the zoo it has learned
  Normalizer normalizer;
  std::vector<float> autoencoder, autoencoder_buffers, denoiser, denoiser_buffers;
  std::vector<float> latent_mean, latent_std; // [latent]
  std::shared_ptr<StreamedStore> streamed{};  // of one that was just trained, the autoencoder's streamed weights
};

// A file's tensors that are streamed, for StreamedLinear: by their number among the autoencoder's outside tensors. The
// file must live as long.
StreamedLinear::Weights streamed_weights(const Safetensors &, const PDiffConfig &, std::size_t parameters,
                                         std::size_t tensor);

// One self-contained file: every tensor under PyTorch's name, and in the metadata the configuration, the layout and
// facts of the networks, and `key`. Atomic. Throws Error.
void save_pdiff(const std::filesystem::path &, const PDiff &, const Stamp &);

// Throws InputError where the file is damaged or not a p-diff. What a file does not tell is `how`'s: what streams stays
// in the file.
PDiff load_pdiff(const std::filesystem::path &, const PDiffConfig &how = {});

} // namespace theta
