// One-dimensional convolution (cross-correlation, as PyTorch's Conv1d) and its transpose, forward and both backwards.
//   y[n,o,l] = b[o] + Σ_{i,t} w[o,i,t] · x[n,i, l·stride + t − padding]
#pragma once
#include "kernels/device/arithmetic.h"
#include "kernels/device/device.h"

namespace theta {

// x [batch, in_channels, in_length] -> y [batch, out_channels, out_length()]; w [out_channels, in_channels, kernel].
struct Conv1d {
  int batch, in_channels, out_channels, in_length;
  int kernel = 7, stride = 1, padding = 3;
  Arithmetic arithmetic = Arithmetic::fp32;

  int out_length() const { return (in_length + 2 * padding - kernel) / stride + 1; }
  std::size_t x_size() const { return std::size_t(batch) * in_channels * in_length; }
  std::size_t y_size() const { return std::size_t(batch) * out_channels * out_length(); }
  std::size_t w_size() const { return std::size_t(out_channels) * in_channels * kernel; }
};

// Elements of T that each of the three operations below needs as workspace. On the cpu: one sample with zeros around it
// for each thread, and its part of dw. On cuda: partial sums of dw, and weights packed for tensor cores.
// Throws InputError where on cuda a batch has 2^31 positions and more.
std::size_t conv1d_workspace(Backend, const Conv1d &);

// FLOPs of each: 2·batch·out_channels·out_length·in_channels·kernel. Bytes: x, y and w once. On cuda one of three: with
// one input or output channel a kernel bound by memory (conv1d_thin.cu); with bf16 arithmetic, kernel 7 and at least 16
// channels on either side, tensor cores (conv1d_tensor.cu); otherwise a tiled fp32 product (tile_gemm.cuh) whose
// operands are gathered while they are loaded. On the cpu tiles of product.h, taps as shifts.

// y written; bias [out_channels] or null.
template <class T>
void conv1d_forward(Stream &, T *y, const T *x, const T *w, const T *bias, T *workspace, const Conv1d &);

// dx written: dx[n,i,p] = bias[i] + Σ_{o,t} w[o,i,t] · dy[n,o,(p + padding − t)/stride], over the t that divide.
// bias [in_channels] or null: null for a gradient, the bias of the layer when this is a transposed convolution.
template <class T>
void conv1d_backward_data(Stream &, T *dx, const T *dy, const T *w, const T *bias, T *workspace, const Conv1d &);

// dw[o,i,t] += Σ_{n,l} dy[n,o,l] · x[n,i, l·stride + t − padding]. The gradient of the bias is channel_sum's
// (reduce.h).
template <class T> void conv1d_backward_weight(Stream &, T *dw, const T *dy, const T *x, T *workspace, const Conv1d &);

// A transposed convolution is the convolution `p` run backwards: it maps [batch, p.out_channels, p.out_length()] to
// [batch, p.in_channels, p.in_length], with PyTorch's weight [in, out, kernel] = p's [out_channels, in_channels,
// kernel]. in_length = 2·out_length with kernel 7, stride 2, padding 3 is PyTorch's output_padding = 1.
template <class T>
void conv_transpose1d_forward(Stream &s, T *y, const T *x, const T *w, const T *bias, T *workspace, const Conv1d &p) {
  conv1d_backward_data(s, y, x, w, bias, workspace, p);
}
template <class T>
void conv_transpose1d_backward_data(Stream &s, T *dx, const T *dy, const T *w, T *workspace, const Conv1d &p) {
  conv1d_forward(s, dx, dy, w, static_cast<const T *>(nullptr), workspace, p);
}
template <class T>
void conv_transpose1d_backward_weight(Stream &s, T *dw, const T *dy, const T *x, T *workspace, const Conv1d &p) {
  conv1d_backward_weight(s, dw, x, dy, workspace, p);
}

namespace cuda {
std::size_t conv1d_workspace(const Conv1d &);
}

} // namespace theta
