#include "pool2d.h"
#include "kernels/device/parallel.h"

namespace theta {

namespace cuda {
decltype(theta::max_pool2d<float>) max_pool2d;
decltype(theta::max_pool2d_backward<float>) max_pool2d_backward;
} // namespace cuda

template <class T> void max_pool2d(Stream &s, T *y, std::uint8_t *which, const T *x, const Pool2d &p) {
  const Span span(s, "max_pool2d", double(p.x_size() + p.y_size()) * sizeof(T) + double(p.y_size()));
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda())
      return cuda::max_pool2d(s, y, which, x, p);
  const int height = p.out_height(), width = p.out_width();
  parallel_for(long(p.planes), double(p.y_size()) * p.window * p.window, [&](long plane) {
    const T *from = x + std::size_t(plane) * p.in_height * p.in_width;
    for (int u = 0; u < height; ++u)
      for (int v = 0; v < width; ++v) {
        const std::size_t to = (std::size_t(plane) * height + u) * width + v;
        int best = -1;
        for (int t = 0; t < p.window * p.window; ++t) {
          const int row = u * p.stride + t / p.window - p.padding, column = v * p.stride + t % p.window - p.padding;
          if (row < 0 || row >= p.in_height || column < 0 || column >= p.in_width)
            continue;
          const T value = from[row * p.in_width + column];
          if (best < 0 || value > y[to] || value != value)
            y[to] = value, best = t;
        }
        which[to] = std::uint8_t(best);
      }
  });
}

template <class T>
void max_pool2d_backward(Stream &s, T *dx, const T *dy, const std::uint8_t *which, const Pool2d &p, bool accumulate) {
  const Span span(s, "max_pool2d_backward", double(p.x_size() + p.y_size()) * sizeof(T) + double(p.y_size()));
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda())
      return cuda::max_pool2d_backward(s, dx, dy, which, p, accumulate);
  const int height = p.out_height(), width = p.out_width();
  parallel_for(long(p.planes), double(p.x_size() + p.y_size()), [&](long plane) {
    T *to = dx + std::size_t(plane) * p.in_height * p.in_width;
    if (!accumulate)
      std::fill_n(to, p.in_height * p.in_width, T(0));
    for (int u = 0; u < height; ++u)
      for (int v = 0; v < width; ++v) {
        const std::size_t from = (std::size_t(plane) * height + u) * width + v;
        const int row = u * p.stride + which[from] / p.window - p.padding,
                  column = v * p.stride + which[from] % p.window - p.padding;
        to[row * p.in_width + column] += dy[from];
      }
  });
}

#define THETA_INSTANTIATE(T)                                                                                           \
  template void max_pool2d(Stream &, T *, std::uint8_t *, const T *, const Pool2d &);                                  \
  template void max_pool2d_backward(Stream &, T *, const T *, const std::uint8_t *, const Pool2d &, bool);
THETA_INSTANTIATE(float)
THETA_INSTANTIATE(double)

} // namespace theta
