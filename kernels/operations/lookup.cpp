#include "lookup.h"
#include "kernels/device/parallel.h"
#include "kernels/device/trace.h"
#include <algorithm>

namespace theta {

namespace cuda {
decltype(theta::lookup_forward<float>) lookup_forward;
decltype(theta::lookup_backward<float>) lookup_backward;
} // namespace cuda

template <class T> void lookup_forward(Stream &s, T *y, const T *table, const T *id, const Lookup &p) {
  const double elements = 1.0 * p.networks * p.rows * p.width;
  const Span span(s, "lookup_forward", 2 * elements * sizeof(T));
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda())
      return cuda::lookup_forward(s, y, table, id, p);
  const auto width = std::size_t(p.width);
  parallel_for(p.networks, p.rows, elements, [&](int n, long r) {
    const auto row = std::size_t(p.row_of(id[std::size_t(n) * p.id_stride + std::size_t(r)]));
    std::copy_n(table + std::size_t(n) * p.table_stride + row * width, width,
                y + (std::size_t(n) * std::size_t(p.rows) + std::size_t(r)) * width);
  });
}

template <class T> void lookup_backward(Stream &s, T *dtable, const T *dy, const T *id, const Lookup &p) {
  const double elements = 1.0 * p.networks * p.rows * p.width;
  const Span span(s, "lookup_backward", (elements + 2.0 * p.networks * p.vocabulary * p.width) * sizeof(T));
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda())
      return cuda::lookup_backward(s, dtable, dy, id, p);
  constexpr int columns = 16; // whole cache lines: a thread has these of a network
  const auto width = std::size_t(p.width);
  parallel_for(p.networks, (p.width + columns - 1) / columns, elements, [&](int n, long part) {
    const std::size_t first = std::size_t(part) * columns, count = std::min<std::size_t>(columns, width - first);
    for (std::size_t r = 0; r < std::size_t(p.rows); ++r) {
      const auto row = std::size_t(p.row_of(id[std::size_t(n) * p.id_stride + r]));
      T *to = dtable + std::size_t(n) * p.table_stride + row * width + first;
      const T *from = dy + (std::size_t(n) * std::size_t(p.rows) + r) * width + first;
      for (std::size_t c = 0; c < count; ++c)
        to[c] += from[c];
    }
  });
}

template void lookup_forward(Stream &, float *, const float *, const float *, const Lookup &);
template void lookup_forward(Stream &, double *, const double *, const double *, const Lookup &);
template void lookup_backward(Stream &, float *, const float *, const float *, const Lookup &);
template void lookup_backward(Stream &, double *, const double *, const double *, const Lookup &);

} // namespace theta
