#include "features.h"
#include <algorithm>
#include <cmath>

namespace theta {

namespace cuda {
decltype(theta::number_features<float>) number_features;
decltype(theta::label_features<float>) label_features;
decltype(theta::whole_number_features<float>) whole_number_features;
} // namespace cuda

template <class T> void number_features(Stream &s, T *out, const T *t, int rows, int width) {
  const Span span(s, "number_features", 1.0 * rows * width * sizeof(T));
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda())
      return cuda::number_features(s, out, t, rows, width);
  const int half = width / 2;
  for (int r = 0; r < rows; ++r)
    for (int i = 0; i < half; ++i) {
      const bool told = !std::isnan(t[r]);
      const T angle = told ? t[r] * std::pow(T(1000), T(i) / T(half - 1)) : 0;
      out[r * width + i] = told ? std::sin(angle) : 0, out[r * width + half + i] = told ? std::cos(angle) : 0;
    }
}

template <class T> void label_features(Stream &s, T *out, const T *label, int rows, int classes) {
  const Span span(s, "label_features", 1.0 * rows * classes * sizeof(T));
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda())
      return cuda::label_features(s, out, label, rows, classes);
  for (int r = 0; r < rows; ++r)
    for (int i = 0; i < classes; ++i)
      out[r * classes + i] = label[r] == T(i);
}

template <class T> void whole_number_features(Stream &s, T *out, const T *number, int rows, int width) {
  const Span span(s, "whole_number_features", 1.0 * rows * width * sizeof(T));
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda())
      return cuda::whole_number_features(s, out, number, rows, width);
  const int half = width / 2;
  std::fill_n(out, std::size_t(rows) * std::size_t(width), T(0));
  for (int r = 0; r < rows; ++r)
    for (int i = 0; i < half; ++i) {
      const double angle = double(number ? number[r] : T(r)) * std::pow(10000.0, -double(i) / half);
      out[std::size_t(r) * width + i] = T(std::sin(angle)), out[std::size_t(r) * width + half + i] = T(std::cos(angle));
    }
}

#define THETA_INSTANTIATE(T)                                                                                           \
  template void number_features(Stream &, T *, const T *, int, int);                                                   \
  template void label_features(Stream &, T *, const T *, int, int);                                                    \
  template void whole_number_features(Stream &, T *, const T *, int, int);
THETA_INSTANTIATE(float)
THETA_INSTANTIATE(double)

} // namespace theta
