// A convolution, or its backward to the data, as one thing that its CUDA kernels compute: each output gathers.
//   y[n, o, j·out_step + out_first] = bias[o] + Σ_{t,i} w(o, i, t) · x[n, i, j·in_step + in_first + t],  j < count
// A forward pass is one of these. A backward to the data of stride s is s of them, one for each remainder of the
// position: only the taps that fall on it take part.
#pragma once
#include "conv1d.h"
#include "kernels/device/host_device.h"

namespace theta::cuda {

struct Gather {
  float *y;
  const float *x, *w, *bias; // bias [out_channels] or null
  int batch, in_channels, out_channels, in_length, out_length;
  int taps, count, in_step, in_first, out_step, out_first;
  int w_out, w_in, w_tap, w_first; // w(o, i, t) = w[o·w_out + i·w_in + t·w_tap + w_first]

  THETA_HOST_DEVICE float weight(int o, int i, int t) const {
    return w[std::size_t(o) * w_out + std::size_t(i) * w_in + t * w_tap + w_first];
  }
};

inline Gather forward_gather(const Conv1d &p, float *y, const float *x, const float *w, const float *bias) {
  const int length = p.out_length();
  return {y,
          x,
          w,
          bias,
          p.batch,
          p.in_channels,
          p.out_channels,
          p.in_length,
          length,
          p.kernel,
          length,
          p.stride,
          -p.padding,
          1,
          0,
          p.in_channels * p.kernel,
          p.kernel,
          1,
          0};
}

// Calls f(gather) for each remainder. A position p = stride·j + remainder takes the taps t = first_tap + stride·u; its
// input (p + padding − t)/stride falls as u rises, so tap t' of the gather is u = taps − 1 − t'.
template <class F>
void for_data_gathers(const Conv1d &p, float *dx, const float *dy, const float *w, const float *bias, F f) {
  for (int remainder = 0; remainder < p.stride && remainder < p.in_length; ++remainder) {
    const int first_tap = (remainder + p.padding) % p.stride;
    const int taps = first_tap < p.kernel ? (p.kernel - first_tap + p.stride - 1) / p.stride : 0;
    const int last_tap = first_tap + p.stride * (taps - 1);
    f(Gather{dx, dy, w, bias, p.batch, p.out_channels, p.in_channels, p.out_length(), p.in_length, taps,
             (p.in_length - remainder + p.stride - 1) / p.stride, 1, (remainder + p.padding - last_tap) / p.stride,
             p.stride, remainder, p.kernel, p.in_channels * p.kernel, -p.stride, last_tap});
  }
}

// With one input or one output channel (conv1d_thin.cu): bound by memory, plain fp32.
inline bool is_thin(const Conv1d &p) {
  return (p.in_channels == 1 || p.out_channels == 1) && p.kernel <= 7 && p.in_channels * p.out_channels <= 1024;
}
void thin_gather(Stream &, const Gather &);
std::size_t thin_weight_workspace(const Conv1d &);
void thin_backward_weight(Stream &, float *dw, const float *dy, const float *x, float *workspace, const Conv1d &);

// On tensor cores (conv1d_tensor.cu): where the caller asked for bf16 and the shape is p-diff's.
inline bool is_for_tensor_cores(const Conv1d &p) {
  return p.arithmetic == Arithmetic::bf16 && p.kernel == 7 && p.stride <= 2 && p.in_channels >= 16 &&
         p.out_channels >= 16 && p.batch <= 65535;
}
std::size_t tensor_workspace(const Conv1d &); // floats, for each of the three passes
void tensor_gather(Stream &, const Gather &, float *workspace);
void tensor_backward_weight(Stream &, float *dw, const float *dy, const float *x, float *workspace, const Conv1d &);

} // namespace theta::cuda
