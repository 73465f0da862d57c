// p-diff's autoencoder of flattened networks (Wang et al., "Neural Network Diffusion", 2024): strided 1-D convolutions
// down to a latent, transposed ones back up. KL weight 0 and a fixed latent noise make it a noisy autoencoder:
//   z = mu(encode(v + input_noise)) + latent_noise,   out = decode(z)
#pragma once
#include "engine/layers/conv_stack.h"
#include "engine/layers/conv_tiles.h"
#include "engine/layers/linear.h"
#include "engine/layers/streamed_linear.h"
#include <functional>

namespace theta {

struct ConvVaeShape {
  int length;                                       // V, padded to a multiple of 2^channels.size()
  std::vector<int> channels{64, 128, 256, 256, 32}; // of the encoder; the decoder mirrors them
  int kernel = 7;
  int latent = 256;
  Arithmetic arithmetic = Arithmetic::fp32;
  // What is kept for the backward (conv_stack.h). When compact, the two wide products' weights are early tensors.
  Keeping keeping{};
  int tile = 0;        // elements that activations are made for at a time (conv_tiles.h); 0: all
  bool stream = false; // the two wide products' weights stream from a file (streamed_linear.h)
};

template <class T> class ConvVae {
public:
  explicit ConvVae(const ConvVaeShape &);

  const Layout &parameters() const { return parameters_; }
  const Layout &buffers() const { return buffers_; }
  const EarlyTensors &early() const { return early_; }
  int latent() const { return shape_.latent; }
  int length() const { return shape_.length; }

  // Rehearses one use for `batch` rows: a training step, or encoding, or decoding.
  enum class Use { train, encode, decode };
  void plan(MemoryPlan &, Backend, Use, int batch);

  // Where streamed weights are, by their number among parameters().outside(). Before anything is computed.
  void stream_from(const std::function<StreamedLinear::Weights(std::size_t tensor)> &);

  // v [batch, length] -> out [batch, length]; latent_noise [batch, latent]. v must live until backward.
  const T *forward(Stream &, const Parameters<T> &, const T *v, const T *latent_noise);
  // The gradient of `out`'s loss goes where d_out() says, before backward.
  T *d_out() const { return d_out_; }
  // `move` is called for every block of streamed weights.
  void backward(Stream &, const Parameters<T> &, const T *v, const StreamedLinear::Step &move = {});

  // v [batch, length] -> mu [batch, latent], and z [batch, latent] -> [batch, length], by running statistics.
  const T *encode(Stream &, const Parameters<T> &, const T *v);
  const T *decode(Stream &, const Parameters<T> &, const T *z);

private:
  Tensor<T> reserve(MemoryPlan &, const char *name, std::int64_t width) const;
  void plan_encoder(MemoryPlan &, Mode);
  void plan_decoder(MemoryPlan &, Mode);
  void plan_backward(MemoryPlan &);
  void run_encoder(Stream &, const Parameters<T> &, const T *v, Mode);
  void run_decoder(Stream &, const Parameters<T> &, const T *z, Mode);
  void wide_forward(Stream &, const Parameters<T> &, const std::optional<Linear> &,
                    const std::optional<StreamedLinear> &, T *y, const T *x) const;
  void wide_backward(Stream &, const Parameters<T> &, const std::optional<Linear> &,
                     const std::optional<StreamedLinear> &, T *dx, const T *dy, const T *x,
                     const StreamedLinear::Step &move) const;

  ConvVaeShape shape_;
  Layout parameters_{model_alignment}, buffers_;
  EarlyTensors early_;
  std::optional<ConvStack<T>> encoder_, decoder_; // the decoder's last block has neither norm nor activation
  std::optional<ConvTiles<T>> encoder_tiles_, decoder_tiles_; // or in tiles
  std::optional<Linear> to_latent_, mu_, from_latent_;
  std::optional<StreamedLinear> to_latent_streamed_, from_latent_streamed_; // or from a file
  int width_ = 0;                                                           // between the stacks and the latent
  int batch_ = 0;
  Tensor<T> encoded_, hidden_, code_, noisy_code_, unpacked_, out_; // [batch, ...], in the order in which they are made
  Tensor<T> d_out_, d_unpacked_, d_noisy_code_, d_hidden_, d_encoded_, early_gradient_;
};

} // namespace theta
