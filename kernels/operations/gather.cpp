#include "gather.h"
#include "kernels/device/parallel.h"
#include <algorithm>

namespace theta {

namespace cuda {
decltype(theta::gather_images<float>) gather_images;
decltype(theta::gather_rows<float>) gather_rows;
decltype(theta::normalise_images<float>) normalise_images;
decltype(theta::copy_rows<float>) copy_rows;
} // namespace cuda

template <class T>
void gather_images(Stream &s, T *x, std::uint8_t *label_out, const std::uint8_t *image, const std::uint8_t *label,
                   int pixels, double scale, double shift, const BatchOrder &p, const Augmentation &a) {
  const Span span(s, "gather_images", 1.0 * p.networks * p.batch * pixels * (1 + sizeof(T)));
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda())
      return cuda::gather_images(s, x, label_out, image, label, pixels, scale, shift, p, a);
  parallel_for(p.networks, p.batch, double(p.networks) * p.batch * pixels, [&](int n, int b) {
    const std::size_t to = std::size_t(n) * p.batch + b, from = p.example(n, b);
    label_out[to] = label[from];
    T *const y = x + to * pixels;
    if (!a.any()) {
      for (int i = 0; i < pixels; ++i)
        y[i] = image[from * pixels + i] * T(scale) + T(shift);
      return;
    }
    const auto drawn = a.draw(p, n, b);
    for (int i = 0; i < pixels; ++i)
      if (const int at = a.source(drawn, i); at == a.nowhere)
        y[i] = 0;
      else
        y[i] = (at == a.outside ? 0 : image[from * pixels + at]) * T(scale) + T(shift);
  });
}

template <class T> void gather_rows(Stream &s, T *y, const T *x, std::size_t cols, const BatchOrder &p) {
  const Span span(s, "gather_rows", 2.0 * p.networks * p.batch * double(cols) * sizeof(T));
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda())
      return cuda::gather_rows(s, y, x, cols, p);
  for (int b = 0; b < p.batch; ++b)
    std::copy_n(x + p.example(0, b) * cols, cols, y + b * cols);
}

template <class T>
void normalise_images(Stream &s, T *x, const std::uint8_t *image, std::size_t n, double scale, double shift) {
  const Span span(s, "normalise_images", double(n) * (1 + sizeof(T)));
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda())
      return cuda::normalise_images(s, x, image, n, scale, shift);
  parallel_for(n, double(n), [&](std::size_t i) { x[i] = image[i] * T(scale) + T(shift); });
}

template <class T>
void copy_rows(Stream &s, T *to, std::size_t to_step, const T *from, std::size_t from_step, int rows,
               std::size_t cols) {
  const Span span(s, "copy_rows", 2.0 * rows * double(cols) * sizeof(T));
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda())
      return cuda::copy_rows(s, to, to_step, from, from_step, rows, cols);
  for (int r = 0; r < rows; ++r)
    std::copy_n(from + r * from_step, cols, to + r * to_step);
}

#define THETA_INSTANTIATE(T)                                                                                           \
  template void gather_images(Stream &, T *, std::uint8_t *, const std::uint8_t *, const std::uint8_t *, int, double,  \
                              double, const BatchOrder &, const Augmentation &);                                       \
  template void gather_rows(Stream &, T *, const T *, std::size_t, const BatchOrder &);                                \
  template void normalise_images(Stream &, T *, const std::uint8_t *, std::size_t, double, double);                    \
  template void copy_rows(Stream &, T *, std::size_t, const T *, std::size_t, int, std::size_t);
THETA_INSTANTIATE(float)
THETA_INSTANTIATE(double)

} // namespace theta
