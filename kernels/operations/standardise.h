// Standardisation of flattened networks, coordinate by coordinate, and its inverse; rows may be padded with zeros.
#pragma once
#include "kernels/device/device.h"

namespace theta {

// y[k, i] = (x[k, i] − mean[i]) / std[i] for i < cols, 0 for cols <= i < padded.
//   x [rows, cols]; y [rows, padded]; mean, std [cols], std > 0. Bytes: rows·(cols + padded)·sizeof(T).
template <class T>
void standardise(Stream &, T *y, const T *x, const T *mean, const T *std, int rows, std::size_t cols,
                 std::size_t padded);

// x[k, i] = y[k, i]·std[i] + mean[i]: the inverse; what lies in the padding is dropped.
template <class T>
void unstandardise(Stream &, T *x, const T *y, const T *mean, const T *std, int rows, std::size_t cols,
                   std::size_t padded);

} // namespace theta
