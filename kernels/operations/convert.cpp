#include "convert.h"
#include "kernels/device/parallel.h"

namespace theta {

namespace cuda {
decltype(theta::narrow) narrow;
decltype(theta::widen) widen;
} // namespace cuda

void narrow(Stream &s, bf16 *y, const float *x, std::size_t n) {
  const Span span(s, "narrow", 6.0 * double(n));
  if constexpr (built_with_cuda)
    if (s.is_cuda())
      return cuda::narrow(s, y, x, n);
  parallel_for(n, double(n), [&](std::size_t i) { y[i] = to_bf16(x[i]); });
}

void widen(Stream &s, float *y, const bf16 *x, std::size_t n) {
  const Span span(s, "widen", 6.0 * double(n));
  if constexpr (built_with_cuda)
    if (s.is_cuda())
      return cuda::widen(s, y, x, n);
  parallel_for(n, double(n), [&](std::size_t i) { y[i] = to_float(x[i]); });
}

} // namespace theta
