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
  const std::size_t calls = calls_of(d, cols);
  parallel_for(rows, 8.0 * rows * double(cols), [&](int r) {
    const std::size_t row = std::size_t(r) * cols;
    for (std::size_t call = 0; call < calls; ++call)
      drop_call(y + row, x + row, cols, call, d, d.first_stream + std::uint32_t(r), T(rate));
  });
}

template void dropout(Stream &, float *, const float *, int, std::size_t, double, const Draws &);
template void dropout(Stream &, double *, const double *, int, std::size_t, double, const Draws &);

} // namespace theta
