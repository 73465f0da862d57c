// Layer normalisation (Ba, Kiros & Hinton 2016), PyTorch's LayerNorm over the last axis:
//   y = x̂·gamma + beta,  x̂ = (x − mean)·rstd,  rstd = 1/√(variance + eps), row by row, biased variance
#pragma once
#include "kernels/device/bf16.h"
#include "kernels/device/device.h"

namespace theta {

// Columns that a row may have on cuda: what one block keeps in registers.
inline constexpr int layernorm_most_columns = 8192;

// Activations are T (float, bf16; double on the cpu), parameters, statistics and sums Wide<T>.
// y, x [rows, cols]; mean, rstd [rows], written for the backward; gamma, beta [cols]. y may be x only where no backward
// follows. Bytes: 2·rows·cols·sizeof(T). One warp a row up to 1024 columns, one block above; each element is read once.
// Throws InputError above layernorm_most_columns on cuda.
template <class T>
void layernorm_forward(Stream &, T *y, Wide<T> *mean, Wide<T> *rstd, const T *x, const Wide<T> *gamma,
                       const Wide<T> *beta, int rows, int cols, double eps = 1e-5);

// dx written (it may be dy); dgamma, dbeta [cols] added to. With g = dy·gamma,
//   dx = rstd·(g − mean(g) − x̂·mean(g·x̂)),  dgamma = Σ_rows dy·x̂,  dbeta = Σ_rows dy.
// Bytes: 3·rows·cols·sizeof(T). Warps walk rows and keep sums of their columns in registers; blocks leave them in
// scratch memory, and a second launch adds them up.
template <class T>
void layernorm_backward(Stream &, T *dx, Wide<T> *dgamma, Wide<T> *dbeta, const T *dy, const T *x, const Wide<T> *mean,
                        const Wide<T> *rstd, const Wide<T> *gamma, int rows, int cols);

} // namespace theta
