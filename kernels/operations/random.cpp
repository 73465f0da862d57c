#include "random.h"
#include "kernels/parts/parallel.h"

namespace theta {

namespace cuda {
decltype(theta::fill_normal<float>) fill_normal;
decltype(theta::fill_uniform<float>) fill_uniform;
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

template void fill_normal(Stream &, float *, int, std::size_t, double, const Draws &);
template void fill_normal(Stream &, double *, int, std::size_t, double, const Draws &);
template void fill_uniform(Stream &, float *, const float *, int, std::size_t, const Draws &);
template void fill_uniform(Stream &, double *, const double *, int, std::size_t, const Draws &);

} // namespace theta
