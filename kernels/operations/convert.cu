#include "convert.h"
#include "kernels/parts/each.cuh"
#include "kernels/parts/vectors.cuh"

namespace theta::cuda {

namespace {

template <class To, class From> void convert(Stream &s, To *y, const From *x, std::size_t n) {
  const std::size_t wide = aligned16(y, x) ? n / 4 : 0, done = wide * 4;
  each(s, wide, [=] __device__(std::size_t i) {
    float v[4];
    load<4>(v, x + 4 * i);
    store<4>(y + 4 * i, v);
  });
  each(s, n - done, [=] __device__(std::size_t i) {
    float v[1];
    load<1>(v, x + done + i);
    store<1>(y + done + i, v);
  });
}

} // namespace

void narrow(Stream &s, bf16 *y, const float *x, std::size_t n) { convert(s, y, x, n); }
void widen(Stream &s, float *y, const bf16 *x, std::size_t n) { convert(s, y, x, n); }

} // namespace theta::cuda
