// Elements left out at random (Srivastava et al., 2014), and the same of their gradients.
#pragma once
#include "random.h"

namespace theta {

// y[r, c] = 0 with a chance of `rate`, else x[r, c]/(1 − rate); which, is a function of its place alone (random.h), so
// that the backward is the same call with gradients. y may be x. T is float, double on the cpu. 0 <= rate < 1.
// Bytes: 2·rows·cols·sizeof(T). On cuda a thread has the elements of one call.
template <class T> void dropout(Stream &, T *y, const T *x, int rows, std::size_t cols, double rate, const Draws &);

// The elements of a row that one call of philox decides on, four or fewer: y[c] = x[c]·factor. A row of `cols` has
// calls_of(d, cols) of them.
THETA_HOST_DEVICE inline std::size_t calls_of(const Draws &d, std::size_t cols) {
  return std::size_t((d.first_index + cols + 3) / 4 - d.first_index / 4);
}
template <class T>
THETA_HOST_DEVICE inline void drop_call(T *y, const T *x, std::size_t cols, std::size_t call, const Draws &d,
                                        std::uint32_t stream, T rate) {
  const std::uint64_t number = d.first_index / 4 + call;
  const Bits4 bits = philox(d.seed, d.purpose, stream, number);
  for (int k = 0; k < 4; ++k)
    if (const std::uint64_t at = 4 * number + std::uint64_t(k); at >= d.first_index && at - d.first_index < cols) {
      const std::size_t c = std::size_t(at - d.first_index);
      y[c] = T(uniform01(bits.word[k])) < rate ? T(0) : x[c] / (1 - rate);
    }
}

} // namespace theta
