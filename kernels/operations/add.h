// Sums of tensors: noise, skips, and an embedding added to every channel.
#pragma once
#include "kernels/device/device.h"

namespace theta {

// y[i] = a[i] + scale·b[i], n elements; y may be a or b. Bytes: 3·n·sizeof(T).
template <class T> void add_scaled(Stream &, T *y, const T *a, const T *b, double scale, std::size_t n);

// y[n,c,l] = x[n,c,l] + e[n,l].   y, x [batch, channels, length]; e [batch, length]; y may be x.
template <class T> void add_over_channels(Stream &, T *y, const T *x, const T *e, int batch, int channels, int length);

// de[n,l] += Σ_c dy[n,c,l]: the backward of the above to e.
template <class T> void sum_over_channels_accumulate(Stream &, T *de, const T *dy, int batch, int channels, int length);

} // namespace theta
