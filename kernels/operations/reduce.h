// Sums and maxima over one axis or over everything, each in one fixed order.
#pragma once
#include "kernels/device/bf16.h"
#include "kernels/device/device.h"

namespace theta {

// out[r] += scale · Σ_c x[r, c].   x [rows, cols]. Bytes: rows·cols·sizeof(T). One block a row.
template <class T> void row_sum(Stream &, T *out, const T *x, int rows, std::size_t cols, double scale = 1);

// out[r] = max_c |x[r, c]|, infinity where a value is not finite. Bytes: rows·cols·sizeof(T). One block a row.
template <class T> void row_max_abs(Stream &, T *out, const T *x, int rows, std::size_t cols);

// out[c] += Σ_{n,l} x[n, c, l]: gradients of biases.   x [batch, channels, length] of float or bf16, double on the cpu.
// Bytes: batch·channels·length·sizeof(T). One block a channel; where length is 1, blocks of columns, cut along the
// batch.
template <class T> void channel_sum(Stream &, Wide<T> *out, const T *x, int batch, int channels, int length);

// Elements of T that global_norm and mean_squared_error need as workspace: one partial sum a block.
inline constexpr std::size_t partial_sums = 1024;

// out[0] = √Σ x², over n elements. Bytes: n·sizeof(T). Partial sums of fixed stretches, then one block.
template <class T> void global_norm(Stream &, T *out, const T *x, std::size_t n, T *workspace);

// loss[0] = Σ (y − target)² / n, and dy = 2·(y − target)/n unless dy is null. dy may be y.
// Bytes: 3·n·sizeof(T).
template <class T>
void mean_squared_error(Stream &, T *loss, T *dy, const T *y, const T *target, std::size_t n, T *workspace);

} // namespace theta
