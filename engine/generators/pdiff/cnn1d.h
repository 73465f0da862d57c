// p-diff's denoiser of latents (Wang et al. 2024): a stack of 1-D convolutions over the latent as a sequence, with
// skips between mirrored layers. The time embedding, through a small MLP, is added to the input of every convolution,
// over all channels:
//   t = W2·silu(W1·e + b1) + b2,   x ← act(norm(conv_i(x + t)))   (+ the output of the mirrored layer)
#pragma once
#include "engine/layers/conv_block.h"
#include "engine/layers/linear.h"

namespace theta {

struct Cnn1dShape {
  int latent;
  std::vector<int> channels{1, 64, 128, 256, 512, 256, 128, 64, 1}; // begins and ends with 1, mirrored
  int kernel = 7;
  int time_width = 256; // of the sinusoidal embedding e
  Arithmetic arithmetic = Arithmetic::fp32;
};

template <class T> class Cnn1d {
public:
  explicit Cnn1d(const Cnn1dShape &);

  const Layout &parameters() const { return parameters_; }
  const Layout &buffers() const { return buffers_; }
  int latent() const { return shape_.latent; }
  int time_width() const { return shape_.time_width; }

  void plan(MemoryPlan &, Backend, Mode, int batch);

  // z [batch, latent], e [batch, time_width] -> [batch, latent]. In training, e must live until backward.
  const T *forward(Stream &, const Parameters<T> &, const T *z, const T *e, Mode);
  // The gradient of the output goes where d_out() says, before backward.
  T *d_out() const { return d_outputs_.back(); }
  void backward(Stream &, const Parameters<T> &, const T *e);

private:
  // Layer whose output is added to layer i's, or -1.
  int skip_of(int i) const;
  int layers() const { return int(blocks_.size()); }
  Tensor<T> reserve(MemoryPlan &, const std::string &name, int channels) const;

  Cnn1dShape shape_;
  Layout parameters_{model_alignment}, buffers_;
  std::size_t time_weight_ = 0, time_bias_ = 0;
  std::optional<Linear> time_out_;
  std::vector<ConvBlock<T>> blocks_;
  int batch_ = 0;
  // One of each a layer: x + t, the output, and their gradients (that of the output also of the mirrored layer's).
  std::vector<Tensor<T>> inputs_, outputs_, d_inputs_, d_outputs_; // [batch, channels, latent]
  Tensor<T> time_pre_, time_act_, time_, d_time_, d_time_act_;     // [batch, 1, latent]
  Tensor<T> workspace_, d_pre_;                                    // d_pre_: of the widest layer
};

} // namespace theta
