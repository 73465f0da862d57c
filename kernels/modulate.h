// Conditioning of a transformer's residual stream by its sample (adaLN: Peebles & Xie, "DiT", 2023): normalisation with
// a shift and scale, and a branch that comes in through a gate, each a row of numbers for all tokens of a sample.
//   y = x̂·(1 + scale) + shift,  x̂ = (x − mean)·rstd,  rstd = 1/√(variance + eps), token by token
//   x += gate·y
#pragma once
#include "device.h"

namespace theta {

// Tokens are rows of [batch, tokens, width]; a sample's shift, scale or gate [width] stands `step` elements behind that
// of the sample before it, as one linear layer gives all of them.
struct Modulation {
  int batch, tokens, width;
  std::size_t step;
  double eps = 1e-6;
  int rows() const { return batch * tokens; }
};

// y written; mean, rstd [batch·tokens] for the backward. Bytes: 2·rows·width·sizeof(T). One warp a token.
template <class T>
void modulate_forward(Stream &, T *y, T *mean, T *rstd, const T *x, const T *shift, const T *scale, const Modulation &);

// dx += the gradient through y; dshift and dscale (`step` apart) written, sums over a sample's tokens. With g = dy·(1 +
// scale): dx += rstd·(g − mean(g) − x̂·mean(g·x̂)), dscale = Σ dy·x̂, dshift = Σ dy.
// Bytes: 6·rows·width·sizeof(T). One warp a token, then 32 columns of a sample a block.
template <class T>
void modulate_backward_accumulate(Stream &, T *dx, T *dshift, T *dscale, const T *dy, const T *x, const T *mean,
                                  const T *rstd, const T *scale, const Modulation &);

// out = x + gate·y; out may be x. Bytes: 3·rows·width·sizeof(T).
template <class T> void gate_forward(Stream &, T *out, const T *x, const T *y, const T *gate, const Modulation &);

// dy = gate·dout, written; dgate = Σ dout·y over a sample's tokens, written. (dx is dout.) Bytes:
// 4·rows·width·sizeof(T).
template <class T>
void gate_backward(Stream &, T *dy, T *dgate, const T *dout, const T *y, const T *gate, const Modulation &);

} // namespace theta
