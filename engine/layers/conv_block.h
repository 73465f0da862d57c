// A convolution or transposed convolution of sequences, with batch normalisation and an activation after it:
//   pre = conv(x),  out = act(norm(pre));  without a norm, out = pre.
// x [batch, in_channels, in_length] -> out [batch, out_channels, out_length].
#pragma once
#include "engine/memory/plan.h"
#include "engine/networks/layout.h"
#include "kernels/operations/batchnorm.h"
#include "kernels/operations/conv1d.h"
#include "parameters.h"

namespace theta {

struct ConvBlockShape {
  int in_channels, out_channels, in_length;
  int kernel = 7, stride = 1;
  bool transposed = false; // doubles the length where stride is 2, instead of halving it
  Activation act = Activation::none;
  Arithmetic arithmetic = Arithmetic::fp32;
};

// Part of a batch: some of its samples, and of each a stretch of its length (0: all of it), as the block reads it.
struct Stretch {
  int samples, in_length = 0;
  Stretch(int samples, int in_length = 0) : samples(samples), in_length(in_length) {}
};

template <class T> class ConvBlock {
public:
  // Adds conv.weight and conv.bias; unless `norm` is empty, norm.weight and norm.bias to the parameters, and
  // norm.running_mean and norm.running_var to the buffers.
  ConvBlock(Layout &parameters, Layout &buffers, const std::string &conv, const std::string &norm,
            const ConvBlockShape &);

  int in_channels() const { return shape_.in_channels; }
  int out_channels() const { return shape_.out_channels; }
  int in_length() const { return shape_.in_length; }
  int out_length(int in_length = 0) const;
  int kernel() const { return shape_.kernel; }
  int stride() const { return shape_.stride; }
  bool transposed() const { return shape_.transposed; }
  std::size_t in_size() const { return std::size_t(shape_.in_channels) * std::size_t(shape_.in_length); } // a sample
  std::size_t out_size() const { return std::size_t(shape_.out_channels) * std::size_t(out_length()); }
  std::size_t workspace(Backend, const Stretch &) const; // elements

  // Rehearses forward: in training, `pre` and the batch statistics stay until plan_backward; `out` is the caller's.
  void plan_forward(MemoryPlan &, const std::string &name, int batch, Mode);
  void plan_backward_done(MemoryPlan &);
  void work_in(const Tensor<T> &workspace) { workspace_ = workspace; } // of workspace() elements

  // out written; x must live until backward.
  void forward(Stream &, const Parameters<T> &, T *out, const T *x, Mode) const;

  // d_pre [like out] is scratch (it may be d_out); dx written unless it is null; gradients added to.
  void backward(Stream &, const Parameters<T> &, T *dx, T *d_pre, const T *d_out, const T *x) const;

  // The same step by step, over part of the batch at a time, with `pre` and gradients in the caller's hands
  // (conv_stack.h, conv_tiles.h). X is T, or bf16 where `pre` was stored so. Convolutions put zeros around a stretch.
  bool has_norm() const { return has_norm_; }
  void plan_steps(MemoryPlan &, const std::string &name, int batch);
  void convolve(Stream &, const Parameters<T> &, T *pre, const T *x, const Stretch &) const;
  void add_moments(Stream &, const T *pre, double seen, const Stretch &) const; // of the `seen` elements before
  void settle(Stream &, const Parameters<T> &) const;                           // the moments are those of the batch
  void settle_running(Stream &, const Parameters<T> &) const; // the running statistics in their place, for inference
  template <class X> void normalise(Stream &, const Parameters<T> &, T *out, const X *pre, const Stretch &) const;
  void clear_sums(Stream &) const;
  template <class X>
  void add_gradient_sums(Stream &, const Parameters<T> &, const T *d_out, const X *pre, const Stretch &) const;
  // d_pre may be d_out.
  template <class X>
  void norm_gradient(Stream &, const Parameters<T> &, T *d_pre, const T *d_out, const X *pre, const Stretch &) const;
  void whole_norm_gradient(Stream &, const Parameters<T> &, T *d_pre, const T *d_out, const T *pre) const; // in one
  // Gradients of weight and bias added to.
  void weight_gradient(Stream &, const Parameters<T> &, const T *d_pre, const T *x, const Stretch &) const;
  void input_gradient(Stream &, const Parameters<T> &, T *dx, const T *d_pre, const Stretch &) const;

private:
  Conv1d conv(const Stretch &) const; // the convolution that this block is, or is the transpose of
  BatchNorm norm(const Stretch &) const;

  ConvBlockShape shape_;
  bool has_norm_;
  std::size_t weight_, bias_, gamma_ = 0, beta_ = 0, running_mean_ = 0, running_var_ = 0;
  int batch_ = 0;
  Tensor<T> pre_;                          // [batch, out_channels, out_length]
  Tensor<T> mean_, rstd_, moments_, sums_; // [out_channels], the last two twice
  Tensor<T> workspace_;
};

} // namespace theta
