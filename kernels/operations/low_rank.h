// Networks that are one base, its weights multiplied by matrices of low rank, and the batches of points that they
// learn.
#pragma once
#include "gather.h"

namespace theta {

// A layer of every network, its bias as one more input:
//   w[o, i] = base[o, i]·(1 + Σ_r u[o, r]·v[r, i])        i = inputs: the bias
// weights [out, in] and biases [out] lie one after another in theta (steps of `parameters` from network to network), u
// [out, rank] and v [rank, in + 1] in adapter (steps of `adapters`).
struct LowRank {
  int networks, out, in, rank;
  std::size_t parameters, adapters;
  std::size_t weights() const { return std::size_t(out) * std::size_t(in + 1); }
  std::size_t numbers() const { return std::size_t(rank) * std::size_t(out + in + 1); } // of u and v
};

// theta from adapter; base is one network's layer.   Bytes: networks·weights·sizeof(T). FLOPs: 2·rank a weight.
template <class T> void low_rank_forward(Stream &, T *theta, const T *base, const T *adapter, const LowRank &);

// d_adapter from d_theta.   Bytes: 2·networks·weights·sizeof(T). FLOPs: 6·rank a weight.
template <class T>
void low_rank_backward(Stream &, T *d_adapter, const T *d_theta, const T *base, const T *adapter, const LowRank &);

// Where signals are taken, [points, inputs], and what they are there, [signals, points, outputs] bytes.
struct SignalPoints {
  const float *coordinate;
  const std::uint8_t *value;
  std::uint32_t signals;
  int inputs, outputs;
  double scale, shift;
};

// x[n, b, :] = coordinates of a point, y[n, b, :] = byte·scale + shift of signal (first_stream + n) mod signals there;
// where a batch holds all points they keep their places.   Bytes: networks·batch·(inputs + outputs)·2·sizeof(T).
template <class T> void gather_points(Stream &, T *x, T *y, const SignalPoints &, const BatchOrder &);

} // namespace theta
