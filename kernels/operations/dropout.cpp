#include "dropout.h"
#include "kernels/device/parallel.h"
#include "kernels/device/trace.h"

namespace theta {

namespace cuda {
decltype(theta::dropout<float>) dropout;
} // namespace cuda

template <class T> void dropout(Stream &s, T *y, const T *x, int rows, std::size_t cols, double rate, const Draws &d) {
  const Span span(s, "dropout", 2.0 * rows * double(cols) * sizeof(T));
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda())
      return cuda::dropout(s, y, x, rows, cols, rate, d);
  parallel_for(rows, 8.0 * rows * double(cols), [&](int r) {
    for (std::size_t c = 0; c < cols; ++c) {
      const std::size_t at = std::size_t(r) * cols + c;
      y[at] = x[at] * dropout_factor_of(d, d.first_stream + std::uint32_t(r), c, T(rate));
    }
  });
}

template void dropout(Stream &, float *, const float *, int, std::size_t, double, const Draws &);
template void dropout(Stream &, double *, const double *, int, std::size_t, double, const Draws &);

} // namespace theta
