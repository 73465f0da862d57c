// Conditioning of a transformer's residual stream by its sample (adaLN: Peebles & Xie, "DiT", 2023): normalisation with
// a shift and scale, and a branch that comes in through a gate, each a row of numbers for all tokens of a sample.
//   y = x̂·(1 + scale) + shift,  x̂ = (x − mean)·rstd,  rstd = 1/√(variance + eps), token by token
//   x += gate·y
#pragma once
#include "kernels/device/bf16.h"
#include "kernels/device/device.h"

namespace theta {

// Tokens are rows of [batch, tokens, width]; a sample's shift, scale or gate [width] stands `step` elements behind that
// of the sample before it, as one linear layer gives all of them.
struct Modulation {
  int batch, tokens, width;
  std::size_t step;
  double eps = 1e-6;
  THETA_HOST_DEVICE int rows() const { return batch * tokens; }
};

// The residual stream x, its gradient, and what a sample is conditioned by are Wide<T>; what goes into a branch and
// comes out of it is T: float or bf16, double on the cpu. With W = sizeof(Wide<T>) and S = sizeof(T), on cuda:

// y written; mean, rstd [batch·tokens] for the backward. Bytes: rows·width·(W + S). One warp a token.
template <class T>
void modulate_forward(Stream &, T *y, Wide<T> *mean, Wide<T> *rstd, const Wide<T> *x, const Wide<T> *shift,
                      const Wide<T> *scale, const Modulation &);

// dx += the gradient through y; dshift and dscale (`step` apart) written, sums over a sample's tokens. With g = dy·(1 +
// scale): dx += rstd·(g − mean(g) − x̂·mean(g·x̂)), dscale = Σ dy·x̂, dshift = Σ dy.
// Bytes: rows·width·(3·W + S). One warp a token; a block has tokens of one sample and sums their columns in shared
// memory.
template <class T>
void modulate_backward_accumulate(Stream &, Wide<T> *dx, Wide<T> *dshift, Wide<T> *dscale, const T *dy,
                                  const Wide<T> *x, const Wide<T> *mean, const Wide<T> *rstd, const Wide<T> *scale,
                                  const Modulation &);

// out = x + gate·y; out may be x. Bytes: rows·width·(2·W + S).
template <class T>
void gate_forward(Stream &, Wide<T> *out, const Wide<T> *x, const T *y, const Wide<T> *gate, const Modulation &);

// dy = gate·dout, written; dgate = Σ dout·y over a sample's tokens, written. (dx is dout.) Bytes:
// rows·width·(W + 2·S).
template <class T>
void gate_backward(Stream &, T *dy, Wide<T> *dgate, const Wide<T> *dout, const T *y, const Wide<T> *gate,
                   const Modulation &);

} // namespace theta
