// Trains a p-diff on the rows of a zoo: the autoencoder, then the latents of all training networks, then the denoiser.
// Networks are read ahead from the mapped shards; each phase has its own plan and arena.
#pragma once
#include "engine/training/journal.h"
#include "engine/training/trainable.h"
#include "pdiff.h"
#include <functional>

namespace theta {

class PDiffFit {
public:
  // For `rows` training networks of `parameters` parameters. Throws InputError for a configuration that cannot be.
  PDiffFit(PDiffConfig, std::size_t parameters, std::size_t rows, std::uint64_t seed, Backend);
  PDiffFit(const PDiffFit &) = delete;

  std::vector<const MemoryPlan *> plans() const; // of the phases, and of what streams from host memory beside them

  // Continues from `state` if it belongs to `key`, and saves into it. Throws Interrupted when asked to stop.
  PDiff run(Device, const ZooReader &, const std::vector<std::size_t> &rows, const std::filesystem::path &state,
            const std::string &key, Journal &);

  // For those who time it: the steps of a phase as run() makes them, on random networks or latents; call it with 0, 1,
  // ... This must live as long.
  enum class Phase { autoencoder, denoiser };
  std::function<void(int)> rehearsal(Phase, Stream &);
  const MemoryPlan &plan_of(Phase phase) const { return is_first(phase) ? autoencoder_plan_ : denoiser_plan_; }
  std::size_t parameters_of(Phase phase) const {
    return (is_first(phase) ? autoencoder_weights_ : denoiser_weights_).parameters_size();
  }

private:
  static bool is_first(Phase phase) { return phase == Phase::autoencoder; }
  using Save = std::function<void(long, std::vector<StateTensor>)>;
  void plan_autoencoder(Backend);
  void plan_encode(Backend);
  void plan_denoiser(Backend);
  void start_denoiser(Stream &, const std::vector<float> &latents);
  // Step i of either: leaves gradients in its weights, and the loss.
  void learn_autoencoder(Stream &, long i);
  void learn_denoiser(Stream &, long i);
  void fit_autoencoder(Device, const ZooReader &, const std::vector<std::size_t> &rows, PDiff &,
                       const SavedState *saved, long first, const Save &save, Journal &);
  std::vector<float> encode(Device, const ZooReader &, const std::vector<std::size_t> &rows, const PDiff &);
  void fit_denoiser(Device, const std::vector<float> &latents, PDiff &, const SavedState *saved, long first,
                    const Save &save, Journal &);

  // The loop of either network: prepare(i) brings in what step i needs, then forward_backward(i), launched as one graph
  // with the optimiser's pass, leaves gradients in `weights` and the loss at `loss`.
  void train(const std::string &stage, Stream &, const FitRecipe &, Trainable &weights, const float *loss,
             const std::function<void(long)> &prepare, const std::function<void(long)> &forward_backward,
             const SavedState *saved, long first, const Save &save, Journal &);

  PDiffConfig config_;
  std::size_t parameters_, rows_;
  std::uint64_t seed_;
  int padded_;
  ConvVae<float> autoencoder_, encoder_;
  Cnn1d<float> denoiser_;
  Trainable autoencoder_weights_, denoiser_weights_;
  MemoryPlan autoencoder_plan_{"fit.autoencoder", "fit.autoencoder.batch"},
      encode_plan_{"fit.encode", "fit.autoencoder.batch"}, denoiser_plan_{"fit.denoiser", "fit.denoiser.batch"};

  // A batch of networks on its way in: staged on the host, on the device, standardised.
  struct Input {
    std::vector<Tensor<float>> staging; // [batch, V]
    Tensor<float> theta, mean, std, v;  // [batch, V], [V], [V], [batch, padded]
  };
  Input plan_input(MemoryPlan &, int batch, int staged) const;
  void upload_normalizer(Stream &, const Input &, const PDiff &) const;
  void standardise_batch(Stream &, const Input &, const float *staged, int batch) const;
  Input fit_input_, encode_input_;
  std::shared_ptr<StreamedStore> store_; // of the autoencoder's streamed weights
  StreamedLinear::Weights weights_in_store(std::size_t tensor) const;
  Tensor<float> encode_values_, encode_buffers_;
  Tensor<float> noisy_, input_noise_, latent_noise_, loss_, partials_; // [batch, padded] twice, [batch, latent]
  struct { // of the denoiser: [rows, latent]; [batch, latent] three times; [batch]; [batch, time_width]; [steps]
    Tensor<float> latents, z0, zt, eps, t, embedding, alpha_bar, loss, partials;
  } d_;
};

} // namespace theta
