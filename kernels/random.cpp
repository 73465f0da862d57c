#include "random.h"
#include "parallel.h"

namespace theta {

namespace cuda {
decltype(theta::fill_normal<float>) fill_normal;
decltype(theta::fill_uniform<float>) fill_uniform;
decltype(theta::fill_integers) fill_integers;
} // namespace cuda

template <class T> void fill_normal(Stream &s, T *x, int rows, std::size_t cols, double scale, const Draws &d) {
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda())
      return cuda::fill_normal(s, x, rows, cols, scale, d);
#pragma omp parallel for if (worth_threads(8.0 * rows * double(cols)))
  for (int r = 0; r < rows; ++r)
    for (std::size_t c = 0; c < cols; ++c)
      x[r * cols + c] = T(scale) * normal(d.seed, d.purpose, d.first_stream + std::uint32_t(r), d.first_index + c);
}

template <class T> void fill_uniform(Stream &s, T *x, const T *bound, int rows, std::size_t cols, const Draws &d) {
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda())
      return cuda::fill_uniform(s, x, bound, rows, cols, d);
#pragma omp parallel for if (worth_threads(8.0 * rows * double(cols)))
  for (int r = 0; r < rows; ++r)
    for (std::size_t c = 0; c < cols; ++c) {
      const Bits4 bits = philox(d.seed, d.purpose, d.first_stream + std::uint32_t(r), d.first_index + c);
      x[r * cols + c] = bound[c] * (2 * uniform01(bits.word[0]) - 1);
    }
}

void fill_integers(Stream &s, int *x, int n, int limit, const Draws &d) {
  if constexpr (built_with_cuda)
    if (s.is_cuda())
      return cuda::fill_integers(s, x, n, limit, d);
  for (int i = 0; i < n; ++i) {
    const Bits4 bits = philox(d.seed, d.purpose, d.first_stream, d.first_index + std::uint64_t(i));
    x[i] = int((std::uint64_t(bits.word[0]) * std::uint64_t(limit)) >> 32);
  }
}

template void fill_normal(Stream &, float *, int, std::size_t, double, const Draws &);
template void fill_normal(Stream &, double *, int, std::size_t, double, const Draws &);
template void fill_uniform(Stream &, float *, const float *, int, std::size_t, const Draws &);
template void fill_uniform(Stream &, double *, const double *, int, std::size_t, const Draws &);

} // namespace theta
