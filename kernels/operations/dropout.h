// Elements left out at random (Srivastava et al., 2014), and the same of their gradients.
#pragma once
#include "random.h"

namespace theta {

// y[r, c] = 0 with a chance of `rate`, else x[r, c]/(1 − rate); which, is a function of its place alone (random.h), so
// that the backward is the same call with gradients. y may be x. T is float, double on the cpu. 0 <= rate < 1.
// Bytes: 2·rows·cols·sizeof(T).
template <class T> void dropout(Stream &, T *y, const T *x, int rows, std::size_t cols, double rate, const Draws &);

// What element c of stream `stream` is multiplied by: four elements of one call of philox.
template <class T>
THETA_HOST_DEVICE inline T dropout_factor_of(const Draws &d, std::uint32_t stream, std::uint64_t c, T rate) {
  const Bits4 bits = philox(d.seed, d.purpose, stream, (d.first_index + c) / 4);
  return T(uniform01(bits.word[(d.first_index + c) % 4])) < rate ? T(0) : 1 / (1 - rate);
}

} // namespace theta
