// Matrices turned on their side: an image's channels as the width of tokens, and back.
#pragma once
#include "kernels/device/device.h"

namespace theta {

// y[b, c, r] = x[b, r, c], or added to.   x [batch, rows, cols]; y [batch, cols, rows], another tensor. Bytes:
// 2·batch·rows·cols·sizeof(T), 3 where it adds. On cuda a block moves 32 x 32 elements through shared memory, so that
// both sides are read and written along their rows.
template <class T> void transpose(Stream &, T *y, const T *x, int batch, int rows, int cols, bool accumulate = false);

} // namespace theta
