#include "flow.h"
#include "parallel.h"
#include <algorithm>
#include <cmath>

namespace theta {

namespace cuda {
decltype(theta::draw_times<float>) draw_times;
decltype(theta::flow_mix<float>) flow_mix;
decltype(theta::time_features<float>) time_features;
decltype(theta::copy_rows<float>) copy_rows;
} // namespace cuda

template <class T> void draw_times(Stream &s, T *t, int rows, const Draws &d) {
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda())
      return cuda::draw_times(s, t, rows, d);
  for (int r = 0; r < rows; ++r)
    t[r] = T(1 / (1 + std::exp(-normal(d.seed, d.purpose, d.first_stream + std::uint32_t(r), d.first_index))));
}

template <class T>
void flow_mix(Stream &s, T *xt, T *velocity, const T *x0, const T *eps, const T *t, int rows, std::size_t cols) {
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda())
      return cuda::flow_mix(s, xt, velocity, x0, eps, t, rows, cols);
#pragma omp parallel for if (worth_threads(rows * double(cols)))
  for (int r = 0; r < rows; ++r)
    for (std::size_t i = r * cols; i < (r + 1) * cols; ++i) {
      const T data = x0[i], noise = eps[i];
      xt[i] = (1 - t[r]) * data + t[r] * noise;
      velocity[i] = noise - data;
    }
}

template <class T> void time_features(Stream &s, T *out, const T *t, int rows, int width) {
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda())
      return cuda::time_features(s, out, t, rows, width);
  const int half = width / 2;
  for (int r = 0; r < rows; ++r)
    for (int i = 0; i < half; ++i) {
      const T angle = t[r] * std::pow(T(1000), T(i) / T(half - 1));
      out[r * width + i] = std::sin(angle), out[r * width + half + i] = std::cos(angle);
    }
}

template <class T>
void copy_rows(Stream &s, T *to, std::size_t to_step, const T *from, std::size_t from_step, int rows,
               std::size_t cols) {
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda())
      return cuda::copy_rows(s, to, to_step, from, from_step, rows, cols);
  for (int r = 0; r < rows; ++r)
    std::copy_n(from + r * from_step, cols, to + r * to_step);
}

#define THETA_INSTANTIATE(T)                                                                                           \
  template void draw_times(Stream &, T *, int, const Draws &);                                                         \
  template void flow_mix(Stream &, T *, T *, const T *, const T *, const T *, int, std::size_t);                       \
  template void time_features(Stream &, T *, const T *, int, int);                                                     \
  template void copy_rows(Stream &, T *, std::size_t, const T *, std::size_t, int, std::size_t);
THETA_INSTANTIATE(float)
THETA_INSTANTIATE(double)

} // namespace theta
