// How conv2d's products gather their operands on cuda, for the kernels of conv2d.cu and conv2d_tensor.cu: a row is a
// channel of the result, a column one of its positions in the batch, and what is summed over are channels of the operand
// and taps.
#pragma once
#include "conv2d.h"
#include "kernels/device/launch.h"

namespace theta::cuda {

// Where a row (or column) of the image lies that output `u` sees with tap t; −1 outside.
THETA_HOST_DEVICE inline int seen(int u, int t, int stride, int padding, int size) {
  const int at = u * stride + t - padding;
  return at >= 0 && at < size ? at : -1;
}
// The output that sees image row `y` with tap t; −1 where none does.
THETA_HOST_DEVICE inline int seer(int y, int t, int stride, int padding, int size) {
  const int at = y + padding - t;
  return at >= 0 && at % stride == 0 && at / stride < size ? at / stride : -1;
}

// A column's sample and position.
struct ConvPlace {
  int sample, row, column;
};

// y, of the group `group`.
struct ForwardOperands {
  float *y;
  const float *x, *w, *bias;
  Conv2d p;
  int height, width, rows, columns, channels, group;

  ForwardOperands(float *y, const float *x, const float *w, const float *bias, const Conv2d &p)
      : y(y), x(x), w(w), bias(bias), p(p), height(p.out_height()), width(p.out_width()), rows(p.out_group()),
        columns(p.batch * height * width), channels(p.in_group()), group(0) {}

  // The taps of a row's weights for channel 0; those of the next channel are of_channel() on.
  THETA_HOST_DEVICE const float *weights(int o) const {
    return w + (std::size_t(group) * rows + o) * channels * p.taps();
  }
  THETA_HOST_DEVICE int of_channel() const { return p.taps(); }
  THETA_HOST_DEVICE ConvPlace place(int j) const { return {j / (height * width), j / width % height, j % width}; }
  // Where a place reads with a tap, in a plane of x; −1: nowhere.
  THETA_HOST_DEVICE std::ptrdiff_t source(const ConvPlace &at, int tap) const {
    const int row = seen(at.row, tap / p.kernel, p.stride, p.above(), p.in_height),
              column = seen(at.column, tap % p.kernel, p.stride, p.padding, p.in_width);
    return row < 0 || column < 0 ? -1 : std::ptrdiff_t(row) * p.in_width + column;
  }
  THETA_HOST_DEVICE std::size_t of_plane() const { return std::size_t(p.in_height) * p.in_width; }
  THETA_HOST_DEVICE const float *planes(const ConvPlace &at, int c) const {
    return x + (std::size_t(at.sample) * p.in_channels + group * channels + c) * of_plane();
  }
  THETA_HOST_DEVICE void store(int o, int j, float sum) const {
    const int channel = group * rows + o, positions = height * width;
    y[(std::size_t(j / positions) * p.out_channels + channel) * positions + j % positions] =
        sum + (bias ? bias[channel] : 0.0f);
  }
};

// dx, written or added to.
struct DataOperands {
  float *dx;
  const float *dy, *w;
  Conv2d p;
  bool accumulate;
  int height, width, rows, columns, channels, group;

  DataOperands(float *dx, const float *dy, const float *w, const Conv2d &p, bool accumulate)
      : dx(dx), dy(dy), w(w), p(p), accumulate(accumulate), height(p.out_height()), width(p.out_width()),
        rows(p.in_group()), columns(p.batch * p.in_height * p.in_width), channels(p.out_group()), group(0) {}

  THETA_HOST_DEVICE const float *weights(int i) const {
    return w + (std::size_t(group) * channels * rows + i) * p.taps();
  }
  THETA_HOST_DEVICE int of_channel() const { return rows * p.taps(); }
  THETA_HOST_DEVICE ConvPlace place(int j) const {
    return {j / (p.in_height * p.in_width), j / p.in_width % p.in_height, j % p.in_width};
  }
  THETA_HOST_DEVICE std::ptrdiff_t source(const ConvPlace &at, int tap) const {
    const int row = seer(at.row, tap / p.kernel, p.stride, p.above(), height),
              column = seer(at.column, tap % p.kernel, p.stride, p.padding, width);
    return row < 0 || column < 0 ? -1 : std::ptrdiff_t(row) * width + column;
  }
  THETA_HOST_DEVICE std::size_t of_plane() const { return std::size_t(height) * width; }
  THETA_HOST_DEVICE const float *planes(const ConvPlace &at, int o) const {
    return dy + (std::size_t(at.sample) * p.out_channels + group * channels + o) * of_plane();
  }
  THETA_HOST_DEVICE void store(int i, int j, float sum) const {
    const int positions = p.in_height * p.in_width;
    float &to = dx[(std::size_t(j / positions) * p.in_channels + group * rows + i) * positions + j % positions];
    to = accumulate ? to + sum : sum;
  }
};

// conv2d_tensor.cu: products of bf16 on tensor cores, where the convolution asks for them and each group has so many
// channels on either side.
inline constexpr int least_channels = 8;
bool tensor_can(const Conv2d &);
void tensor_forward(Stream &, const ForwardOperands &);
void tensor_backward_data(Stream &, const DataOperands &);
void tensor_backward_weight(Stream &, float *dw, const float *dy, const float *x, float *workspace, const Conv2d &);

} // namespace theta::cuda
