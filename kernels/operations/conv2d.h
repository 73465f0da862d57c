// Two-dimensional convolution (cross-correlation, as PyTorch's Conv2d): any square kernel, stride, padding and groups,
// forward and both backwards; of sequences, images of one row, with kernels of one row (Conv1d).
//   y[n,o,u,v] = b[o] + Σ_{i,s,t} w[o,i,s,t] · x[n, g·in_group + i, u·stride + s − padding, v·stride + t − padding]
// where o is of group g, and what lies outside of the image is 0.
#pragma once
#include "kernels/device/arithmetic.h"
#include "kernels/device/device.h"
#include "kernels/device/host_device.h"

namespace theta {

// x [batch, in_channels, in_height, in_width] -> y [batch, out_channels, out_height(), out_width()];
// w [out_channels, in_group(), rows(), kernel]. Groups divide both numbers of channels.
struct Conv2d {
  int batch, in_channels, out_channels, in_height, in_width;
  int kernel = 3, stride = 1, padding = 1, groups = 1;
  bool is_sequence = false; // of height 1: nothing is above or below it
  Arithmetic arithmetic = Arithmetic::fp32;

  THETA_HOST_DEVICE int rows() const { return is_sequence ? 1 : kernel; } // of a kernel
  THETA_HOST_DEVICE int taps() const { return rows() * kernel; }
  THETA_HOST_DEVICE int above() const { return is_sequence ? 0 : padding; }
  THETA_HOST_DEVICE int out_height() const { return (in_height + 2 * above() - rows()) / stride + 1; }
  THETA_HOST_DEVICE int out_width() const { return (in_width + 2 * padding - kernel) / stride + 1; }
  THETA_HOST_DEVICE int in_group() const { return in_channels / groups; }
  THETA_HOST_DEVICE int out_group() const { return out_channels / groups; }
  THETA_HOST_DEVICE std::size_t x_size() const { return std::size_t(batch) * in_channels * in_height * in_width; }
  THETA_HOST_DEVICE std::size_t y_size() const {
    return std::size_t(batch) * out_channels * out_height() * out_width();
  }
  THETA_HOST_DEVICE std::size_t w_size() const { return std::size_t(out_channels) * in_group() * taps(); }
  double multiply_adds() const { return double(y_size()) * in_group() * taps(); }
};

// The gradient of the weights is summed in parts, of at most two slices of the batch on the cpu, where threads share the
// channels of the result too, of stretches of positions on cuda: as many as fill a device while weights are few, a
// function of the shape alone, so that sums have one order. Elements of T that they need as workspace: at most 2^21 and
// once the weights, or twice the weights.
std::size_t conv2d_workspace(const Conv2d &);

// FLOPs of each: 2·multiply_adds(). Bytes: x, y and w once. No input is unfolded in memory. On the cpu a pack has one
// position of as many samples as it has lanes, so that every tap of every kernel is a whole pack; fewer samples waste
// the rest of it. On cuda a tiled product whose operands are gathered while they are loaded: fp32 (tile_gemm.cuh), or with
// bf16 arithmetic and at least 8 channels of a group on either side on tensor cores (conv2d_tensor.cu); of groups of one
// channel, a thread an output.

// y written; bias [out_channels] or null.
template <class T> void conv2d_forward(Stream &, T *y, const T *x, const T *w, const T *bias, const Conv2d &);

// dx written, or added to.
template <class T>
void conv2d_backward_data(Stream &, T *dx, const T *dy, const T *w, const Conv2d &, bool accumulate = false);

// dw added to. The gradient of the bias is channel_sum's (reduce.h).
template <class T> void conv2d_backward_weight(Stream &, T *dw, const T *dy, const T *x, T *workspace, const Conv2d &);

namespace cuda {
// Enough parts for 512 blocks of 64x64 weights, each at least 256 positions long; of groups of one channel, samples.
inline int conv2d_parts(const Conv2d &p) {
  const auto tiles_of = [](int n) { return (n + 63) / 64; };
  const int positions = p.batch * p.out_height() * p.out_width(), depthwise = p.in_group() == 1 && p.out_group() == 1;
  const int tiles = tiles_of(p.out_group()) * tiles_of(p.in_group() * p.taps()) * p.groups;
  const int longest = depthwise ? p.batch : (positions + 255) / 256, wanted = (512 + tiles - 1) / tiles;
  return wanted < longest ? wanted : longest;
}
} // namespace cuda

} // namespace theta
