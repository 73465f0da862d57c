#include "transpose.h"
#include "kernels/device/parallel.h"
#include "kernels/device/trace.h"
#include <algorithm>

namespace theta {

namespace cuda {
decltype(theta::transpose<float>) transpose;
} // namespace cuda

// A thread has a tile of 16 columns, a cache line of floats, and walks down its rows.
template <class T> void transpose(Stream &s, T *y, const T *x, int batch, int rows, int cols, bool accumulate) {
  const double elements = 1.0 * batch * rows * cols;
  const Span span(s, "transpose", (accumulate ? 3 : 2) * elements * sizeof(T));
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda())
      return cuda::transpose(s, y, x, batch, rows, cols, accumulate);
  constexpr int tile = 16;
  parallel_for(batch, (cols + tile - 1) / tile, elements, [&](int b, long part) {
    const std::size_t at = std::size_t(b) * std::size_t(rows) * std::size_t(cols), r_end = std::size_t(rows),
                      width = std::size_t(cols), first = std::size_t(part) * tile, last = std::min(first + tile, width);
    for (std::size_t top = 0; top < r_end; top += tile)
      for (std::size_t c = first; c < last; ++c)
        for (std::size_t r = top; r < std::min(top + tile, r_end); ++r) {
          T &to = y[at + c * r_end + r];
          to = accumulate ? to + x[at + r * width + c] : x[at + r * width + c];
        }
  });
}

template void transpose(Stream &, float *, const float *, int, int, int, bool);
template void transpose(Stream &, double *, const double *, int, int, int, bool);

} // namespace theta
