// Between fp32 and bf16 tensors: activations that are stored in half the bytes.
#pragma once
#include "kernels/device/bf16.h"
#include "kernels/device/device.h"

namespace theta {

// y[i] = x[i], rounded to the nearest (ties to even), n elements. Bytes: 6·n. Four elements a thread.
void narrow(Stream &, bf16 *y, const float *x, std::size_t n);

// y[i] = x[i], exactly, n elements. Bytes: 6·n. Four elements a thread.
void widen(Stream &, float *y, const bf16 *x, std::size_t n);

} // namespace theta
