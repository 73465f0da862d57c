#include "diffusion.h"
#include "parallel.h"

namespace theta {

namespace cuda {
decltype(theta::q_sample<float>) q_sample;
decltype(theta::time_embedding<float>) time_embedding;
decltype(theta::denoise_step<float>) denoise_step;
} // namespace cuda

template <class T>
void q_sample(Stream &s, T *xt, const T *x0, const T *eps, const int *t, const T *alpha_bar, int rows,
              std::size_t cols) {
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda())
      return cuda::q_sample(s, xt, x0, eps, t, alpha_bar, rows, cols);
#pragma omp parallel for if (worth_threads(rows * double(cols)))
  for (int r = 0; r < rows; ++r) {
    const T signal = std::sqrt(alpha_bar[t[r]]), noise = std::sqrt(1 - alpha_bar[t[r]]);
    for (std::size_t i = r * cols; i < (r + 1) * cols; ++i)
      xt[i] = signal * x0[i] + noise * eps[i];
  }
}

template <class T> void time_embedding(Stream &s, T *out, const int *t, int rows, int width) {
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda())
      return cuda::time_embedding(s, out, t, rows, width);
  const int half = width / 2;
  for (int r = 0; r < rows; ++r)
    for (int i = 0; i < half; ++i) {
      const double angle = t[r] * std::pow(10000.0, -double(i) / half);
      out[std::size_t(r) * width + i] = T(std::sin(angle));
      out[std::size_t(r) * width + half + i] = T(std::cos(angle));
    }
}

template <class T>
void denoise_step(Stream &s, T *z, const T *eps, int rows, std::size_t cols, const DenoiseStep &p, const Draws &d) {
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda())
      return cuda::denoise_step(s, z, eps, rows, cols, p, d);
#pragma omp parallel for if (worth_threads(rows * double(cols)))
  for (int r = 0; r < rows; ++r)
    for (std::size_t c = 0; c < cols; ++c) {
      const std::size_t i = r * cols + c;
      z[i] = T(p.from_z) * z[i] + T(p.from_eps) * eps[i];
      if (p.sigma > 0)
        z[i] += T(p.sigma) * normal(d.seed, d.purpose, d.first_stream + std::uint32_t(r), d.first_index + c);
    }
}

#define THETA_INSTANTIATE(T)                                                                                           \
  template void q_sample(Stream &, T *, const T *, const T *, const int *, const T *, int, std::size_t);               \
  template void time_embedding(Stream &, T *, const int *, int, int);                                                  \
  template void denoise_step(Stream &, T *, const T *, int, std::size_t, const DenoiseStep &, const Draws &);
THETA_INSTANTIATE(float)
THETA_INSTANTIATE(double)

} // namespace theta
