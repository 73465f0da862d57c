#include "diffusion.h"
#include "kernels/device/parallel.h"
#include <algorithm>
#include <cmath>

namespace theta {

namespace cuda {
decltype(theta::draw_times<float>) draw_times;
decltype(theta::mix_noise<float>) mix_noise;
decltype(theta::denoise_step<float>) denoise_step;
decltype(theta::clear_padding<float>) clear_padding;
decltype(theta::weigh_columns<float>) weigh_columns;
} // namespace cuda

template <class T> void draw_times(Stream &s, T *t, int rows, int repeat, const NoisePath<T> &path, const Draws &d) {
  const Span span(s, "draw_times", 1.0 * rows * sizeof(T));
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda())
      return cuda::draw_times(s, t, rows, repeat, path, d);
  for (int r = 0; r < rows; ++r) {
    if (path.alpha_bar) {
      t[r] = T(whole_time(d, std::uint64_t(r), path.steps));
      continue;
    }
    const float u = uniform01(philox(d.seed, d.purpose, d.first_stream + std::uint32_t(r), d.first_index).word[0]);
    t[r] = training_time(path.schedule, (T(r % repeat * (rows / repeat) + r / repeat) + T(u)) / T(rows));
  }
}

template <class T>
void mix_noise(Stream &s, T *xt, T *target, const T *x0, const T *eps, const T *start, const std::int32_t *place,
               const T *t, int rows, std::size_t cols, const NoisePath<T> &path, Objective objective) {
  const Span span(s, "mix_noise", 4.0 * rows * double(cols) * sizeof(T));
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda())
      return cuda::mix_noise(s, xt, target, x0, eps, start, place, t, rows, cols, path, objective);
  parallel_for(rows, rows * double(cols), [&](int r) {
    const NoiseLevel<T> level = path.at(t[r]), wanted = target_of(objective, level);
    for (std::size_t c = 0; c < cols; ++c) {
      const std::size_t i = std::size_t(r) * cols + c;
      const T data = x0[i], noise = place && place[c] < 0 ? 0 : eps[i];
      xt[i] = level.signal * data + level.noise * noise;
      target[i] = wanted.signal * data + wanted.noise * noise - (start ? start[i] : 0);
    }
  });
}

template <class T>
void denoise_step(Stream &s, T *z, const T *eps, int rows, std::size_t cols, const DenoiseStep &p, const Draws &d) {
  const Span span(s, "denoise_step", 3.0 * rows * double(cols) * sizeof(T));
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda())
      return cuda::denoise_step(s, z, eps, rows, cols, p, d);
  parallel_for(rows, rows * double(cols), [&](int r) {
    for (std::size_t c = 0; c < cols; ++c) {
      const std::size_t i = r * cols + c;
      z[i] = T(p.from_z) * z[i] + T(p.from_eps) * eps[i];
      if (p.sigma > 0)
        z[i] += T(p.sigma) * normal(d.seed, d.purpose, d.first_stream + std::uint32_t(r), d.first_index + c);
    }
  });
}

template <class T> void clear_padding(Stream &s, T *x, const std::int32_t *place, int rows, std::size_t cols) {
  const Span span(s, "clear_padding", 1.0 * rows * double(cols) * sizeof(T));
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda())
      return cuda::clear_padding(s, x, place, rows, cols);
  for (int r = 0; r < rows; ++r)
    for (std::size_t c = 0; c < cols; ++c)
      if (place[c] < 0)
        x[std::size_t(r) * cols + c] = 0;
}

template <class T> void weigh_columns(Stream &s, T *dy, const T *weight, int rows, std::size_t cols) {
  const Span span(s, "weigh_columns", 2.0 * rows * double(cols) * sizeof(T));
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda())
      return cuda::weigh_columns(s, dy, weight, rows, cols);
  for (int r = 0; r < rows; ++r)
    for (std::size_t c = 0; c < cols; ++c)
      dy[std::size_t(r) * cols + c] *= weight[c];
}

#define THETA_INSTANTIATE(T)                                                                                           \
  template void draw_times(Stream &, T *, int, int, const NoisePath<T> &, const Draws &);                              \
  template void mix_noise(Stream &, T *, T *, const T *, const T *, const T *, const std::int32_t *, const T *, int,   \
                          std::size_t, const NoisePath<T> &, Objective);                                               \
  template void denoise_step(Stream &, T *, const T *, int, std::size_t, const DenoiseStep &, const Draws &);          \
  template void clear_padding(Stream &, T *, const std::int32_t *, int, std::size_t);                                  \
  template void weigh_columns(Stream &, T *, const T *, int, std::size_t);
THETA_INSTANTIATE(float)
THETA_INSTANTIATE(double)

} // namespace theta
