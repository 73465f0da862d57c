#include "noising.h"
#include "parallel.h"
#include <algorithm>
#include <cmath>

namespace theta {

namespace cuda {
decltype(theta::draw_times<float>) draw_times;
decltype(theta::mix_noise<float>) mix_noise;
decltype(theta::clear_padding<float>) clear_padding;
decltype(theta::number_features<float>) number_features;
decltype(theta::label_features<float>) label_features;
decltype(theta::place_features<float>) place_features;
decltype(theta::copy_rows<float>) copy_rows;
} // namespace cuda

template <class T> void draw_times(Stream &s, T *t, int rows, int repeat, NoiseSchedule schedule, const Draws &d) {
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda())
      return cuda::draw_times(s, t, rows, repeat, schedule, d);
  for (int r = 0; r < rows; ++r) {
    const float u = uniform01(philox(d.seed, d.purpose, d.first_stream + std::uint32_t(r), d.first_index).word[0]);
    t[r] = training_time(schedule, (T(r % repeat * (rows / repeat) + r / repeat) + T(u)) / T(rows));
  }
}

template <class T>
void mix_noise(Stream &s, T *xt, T *target, const T *x0, const T *eps, const T *start, const std::int32_t *place,
               const T *t, int rows, std::size_t cols, NoiseSchedule schedule, Objective objective) {
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda())
      return cuda::mix_noise(s, xt, target, x0, eps, start, place, t, rows, cols, schedule, objective);
#pragma omp parallel for if (worth_threads(rows * double(cols)))
  for (int r = 0; r < rows; ++r) {
    const NoiseLevel<T> level = level_at(schedule, t[r]), wanted = target_of(objective, level);
    for (std::size_t c = 0; c < cols; ++c) {
      const std::size_t i = std::size_t(r) * cols + c;
      const T data = x0[i], noise = place[c] < 0 ? 0 : eps[i];
      xt[i] = level.signal * data + level.noise * noise;
      target[i] = wanted.signal * data + wanted.noise * noise - (start ? start[i] : 0);
    }
  }
}

template <class T> void clear_padding(Stream &s, T *x, const std::int32_t *place, int rows, std::size_t cols) {
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda())
      return cuda::clear_padding(s, x, place, rows, cols);
  for (int r = 0; r < rows; ++r)
    for (std::size_t c = 0; c < cols; ++c)
      if (place[c] < 0)
        x[std::size_t(r) * cols + c] = 0;
}

template <class T> void number_features(Stream &s, T *out, const T *t, int rows, int width) {
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
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda())
      return cuda::label_features(s, out, label, rows, classes);
  for (int r = 0; r < rows; ++r)
    for (int i = 0; i < classes; ++i)
      out[r * classes + i] = label[r] == T(i);
}

template <class T> void place_features(Stream &s, T *out, int count, int width) {
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda())
      return cuda::place_features(s, out, count, width);
  const int half = width / 2;
  std::fill_n(out, std::size_t(count) * std::size_t(width), T(0));
  for (int i = 0; i < count; ++i)
    for (int j = 0; j < half; ++j) {
      const T angle = T(i) * std::pow(T(10000), -T(j) / T(half));
      out[i * width + j] = std::sin(angle), out[i * width + half + j] = std::cos(angle);
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
  template void draw_times(Stream &, T *, int, int, NoiseSchedule, const Draws &);                                     \
  template void mix_noise(Stream &, T *, T *, const T *, const T *, const T *, const std::int32_t *, const T *, int,   \
                          std::size_t, NoiseSchedule, Objective);                                                      \
  template void clear_padding(Stream &, T *, const std::int32_t *, int, std::size_t);                                  \
  template void number_features(Stream &, T *, const T *, int, int);                                                   \
  template void label_features(Stream &, T *, const T *, int, int);                                                    \
  template void place_features(Stream &, T *, int, int);                                                               \
  template void copy_rows(Stream &, T *, std::size_t, const T *, std::size_t, int, std::size_t);
THETA_INSTANTIATE(float)
THETA_INSTANTIATE(double)

} // namespace theta
