#include "rotary.h"
#include "kernels/device/parallel.h"
#include "kernels/device/trace.h"
#include <algorithm>

namespace theta {

namespace cuda {
decltype(theta::rotate<float>) rotate;
} // namespace cuda

template <class T> void rotate(Stream &s, T *y, const T *x, const Rotary &p) {
  const auto width = std::size_t(p.heads) * std::size_t(p.head);
  const double elements = 3.0 * p.sequences * p.tokens * double(width);
  const Span span(s, "rotate", 2 * sizeof(T) * elements);
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda())
      return cuda::rotate(s, y, x, p);
  const int half = p.head / 2, at_once = 16; // sequences that share a token's turns
  parallel_for(p.tokens, (p.sequences + at_once - 1) / at_once, elements, [&](int t, int part) {
    const int last = std::min(p.sequences, (part + 1) * at_once);
    for (int k = 0; k < half; ++k) {
      const auto [cosine, sine] = p.turn<T>(t, k);
      for (int i = part * at_once; i < last; ++i) {
        const std::size_t row = (std::size_t(i) * std::size_t(p.tokens) + std::size_t(t)) * 3 * width;
        for (std::size_t h = 0; h < 2 * std::size_t(p.heads); ++h) { // queries, then keys
          const std::size_t a = row + h * std::size_t(p.head) + std::size_t(k), b = a + std::size_t(half);
          const T re = x[a], im = x[b];
          y[a] = re * cosine - im * sine, y[b] = re * sine + im * cosine;
        }
      }
    }
    for (int i = part * at_once; i < last && y != x; ++i) {
      const std::size_t row = (std::size_t(i) * std::size_t(p.tokens) + std::size_t(t)) * 3 * width + 2 * width;
      std::copy_n(x + row, width, y + row);
    }
  });
}

template void rotate(Stream &, float *, const float *, const Rotary &);
template void rotate(Stream &, double *, const double *, const Rotary &);

} // namespace theta
