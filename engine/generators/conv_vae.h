// p-diff's autoencoder of flattened networks (Wang et al., "Neural Network Diffusion", 2024): strided 1-D convolutions
// down to a latent, transposed ones back up. KL weight 0 and a fixed latent noise make it a noisy autoencoder:
//   z = mu(encode(v + input_noise)) + latent_noise,   out = decode(z)
#pragma once
#include "engine/layers/conv_block.h"
#include "engine/layers/linear.h"

namespace theta {

struct ConvVaeShape {
  int length;                                       // V, padded to a multiple of 2^channels.size()
  std::vector<int> channels{64, 128, 256, 256, 32}; // of the encoder; the decoder mirrors them
  int kernel = 7;
  int latent = 256;
  Arithmetic arithmetic = Arithmetic::fp32;
  bool recompute = false; // outputs of blocks are computed again for the backward instead of kept
};

template <class T> class ConvVae {
public:
  explicit ConvVae(const ConvVaeShape &);

  const Layout &parameters() const { return parameters_; }
  const Layout &buffers() const { return buffers_; }
  int latent() const { return shape_.latent; }
  int length() const { return shape_.length; }

  // Rehearses one use for `batch` rows: a training step, or encoding, or decoding.
  enum class Use { train, encode, decode };
  void plan(MemoryPlan &, Backend, Use, int batch);
  void bind(const Arena &);

  // v [batch, length] -> out [batch, length]; latent_noise [batch, latent]. v must live until backward.
  const T *forward(Stream &, const Parameters<T> &, const T *v, const T *latent_noise);
  // The gradient of `out`'s loss goes where d_out() says, before backward.
  T *d_out() const { return d_out_; }
  void backward(Stream &, const Parameters<T> &, const T *v);

  // v [batch, length] -> mu [batch, latent], and z [batch, latent] -> [batch, length], by running statistics.
  const T *encode(Stream &, const Parameters<T> &, const T *v);
  const T *decode(Stream &, const Parameters<T> &, const T *z);

private:
  // A tensor between two layers: its slot, its gradient's, and, where it is not kept, that of its second life.
  struct Activation {
    Slot slot, gradient_slot, again_slot;
    T *value = nullptr, *gradient = nullptr, *again = nullptr;
    bool dropped = false; // after the forward
    // What the backward reads.
    const T *input() const { return again ? again : value; }
  };
  Activation reserve(MemoryPlan &, const std::string &name, Shape shape) const;
  void reserve_gradient(MemoryPlan &, const std::string &name, Activation &) const;
  void release(MemoryPlan &, Activation &) const;
  // With recomputation: ends the first life of a block's output, and begins its second in the backward.
  void drop(MemoryPlan &, Activation &) const;
  void plan_again(MemoryPlan &, const std::string &name, Activation &) const;
  void plan_again_done(MemoryPlan &, const Activation &) const;
  void run_again(Stream &, const Parameters<T> &, const ConvBlock<T> &, const Activation &) const;
  void bind(const Arena &, Activation &) const;
  void plan_encoder(MemoryPlan &, Mode);
  void plan_decoder(MemoryPlan &, Mode);
  void plan_backward(MemoryPlan &);
  void run_encoder(Stream &, const Parameters<T> &, const T *v, Mode);
  void run_decoder(Stream &, const Parameters<T> &, const T *z, Mode);

  ConvVaeShape shape_;
  Layout parameters_, buffers_;
  std::vector<ConvBlock<T>> encoder_, decoder_; // the decoder's last has neither norm nor activation
  std::optional<Linear> to_latent_, mu_, from_latent_;
  int batch_ = 0;
  Use use_ = Use::train;
  std::vector<Activation> encoded_, decoded_; // outputs of the blocks
  Activation hidden_, code_, noisy_code_, unpacked_;
  Slot workspace_slot_, d_out_slot_;
  T *d_out_ = nullptr;
};

} // namespace theta
