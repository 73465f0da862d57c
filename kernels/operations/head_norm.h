// Queries and keys of attention brought to one size, head by head (QK-norm: Dehghani et al., "Scaling vision
// transformers to 22 billion parameters", 2023, with RMSNorm): the biases of q, k and v are added in the same pass.
//   q = gain·(raw + bias)·rstd,  rstd = 1/√(mean((raw + bias)²) + eps), over a head's elements; k alike; v = raw + bias
#pragma once
#include "kernels/device/bf16.h"
#include "kernels/device/device.h"

namespace theta {

// Of [rows, 3·heads·head]: q of all heads, then k, then v, as attention.h takes them.
struct HeadNorm {
  int rows, heads, head; // head: at most 128 on cuda
  double eps = 1e-6;
  int width() const { return heads * head; }
};

// out may not be raw, which the backward reads.   gain [2, head], q's and k's; rstd [rows, 2, heads]; bias [3·width]. T
// is float or bf16, double on the cpu. Bytes: 6·rows·width·sizeof(T). One warp a head of a row.
template <class T>
void head_norm_forward(Stream &, T *out, Wide<T> *rstd, const T *raw, const T *bias, const T *gain, const HeadNorm &);

// d becomes, in place, the gradient of raw; dgain and dbias are added to. With x̂ = (raw + bias)·rstd, g = gain·d:
//   draw = rstd·(g − x̂·mean(g·x̂)),  dgain = Σ d·x̂,  dbias = Σ draw.   Bytes: 7·rows·width·sizeof(T).
template <class T>
void head_norm_backward(Stream &, T *d, Wide<T> *dgain, Wide<T> *dbias, const T *raw, const T *bias, const T *gain,
                        const Wide<T> *rstd, const HeadNorm &);

} // namespace theta
