#include "random.h"
#include "kernels/device/parallel.h"
#include "kernels/parts/simd.h"

namespace theta {

namespace cuda {
decltype(theta::fill_normal<float>) fill_normal;
decltype(theta::fill_uniform<float>) fill_uniform;
} // namespace cuda

namespace {

// The first two words of philox for counters first, first + 1, ... of one stream, several at a time: words as the lower
// halves of 64-bit lanes, whose products are whole.
constexpr int calls_at_once = simd::lanes<std::uint64_t>;
struct WordPairs {
  simd::Pack<std::uint64_t> first, second;
};
WordPairs philox_pairs(std::uint64_t seed, Purpose purpose, std::uint32_t stream, std::uint64_t first) {
  using Wide = simd::Pack<std::uint64_t>;
  constexpr std::uint64_t low = 0xFFFFFFFFu;
  const Wide index = first + simd::counting<Wide>();
  Wide c0 = index & low, c1 = index >> 32, c2 = Wide{} + stream, c3 = Wide{} + std::uint64_t(purpose);
  std::uint32_t key0 = std::uint32_t(seed), key1 = std::uint32_t(seed >> 32);
  for (int round = 0; round < 10; ++round) {
    const Wide p0 = std::uint64_t(0xD2511F53u) * c0, p1 = std::uint64_t(0xCD9E8D57u) * c2;
    c0 = (p1 >> 32) ^ c1 ^ std::uint64_t(key0), c2 = (p0 >> 32) ^ c3 ^ std::uint64_t(key1);
    c1 = p1 & low, c3 = p0 & low;
    key0 += 0x9E3779B9u, key1 += 0xBB67AE85u;
  }
  return {c0, c1};
}

// x[i] = scale·normal(begin + i), 0 <= i < n: pairs of them from one call of philox each.
template <class T>
void fill_row(T *x, std::size_t n, T scale, const Draws &d, std::uint32_t stream, std::uint64_t begin) {
  const std::uint64_t end = begin + n;
  for (std::uint64_t pair = begin / 2; 2 * pair < end; pair += calls_at_once) {
    const WordPairs words = philox_pairs(d.seed, d.purpose, stream, pair);
    for (int k = 0; k < calls_at_once; ++k) {
      const std::uint64_t at = 2 * (pair + std::uint64_t(k));
      if (at >= end)
        return;
      const NormalPair two = normal_pair(std::uint32_t(words.first[k]), std::uint32_t(words.second[k]));
      if (at >= begin)
        x[at - begin] = scale * two.even;
      if (at + 1 < end)
        x[at + 1 - begin] = scale * two.odd;
    }
  }
}

} // namespace

template <class T> void fill_normal(Stream &s, T *x, int rows, std::size_t cols, double scale, const Draws &d) {
  const Span span(s, "fill_normal", 1.0 * rows * double(cols) * sizeof(T));
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda())
      return cuda::fill_normal(s, x, rows, cols, scale, d);
  constexpr std::size_t most = 4096; // of a row at once
  const long parts = long((cols + most - 1) / most);
  parallel_for(rows, parts, 8.0 * rows * double(cols), [&](int r, long part) {
    const std::size_t first = std::size_t(part) * most;
    fill_row(x + r * cols + first, std::min(most, cols - first), T(scale), d, d.first_stream + std::uint32_t(r),
             d.first_index + first);
  });
}

template <class T> void fill_uniform(Stream &s, T *x, const T *bound, int rows, std::size_t cols, const Draws &d) {
  const Span span(s, "fill_uniform", 2.0 * rows * double(cols) * sizeof(T));
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda())
      return cuda::fill_uniform(s, x, bound, rows, cols, d);
  parallel_for(rows, 8.0 * rows * double(cols), [&](int r) {
    for (std::size_t c = 0; c < cols; ++c) {
      const Bits4 bits = philox(d.seed, d.purpose, d.first_stream + std::uint32_t(r), d.first_index + c);
      x[r * cols + c] = bound[c] * (2 * uniform01(bits.word[0]) - 1);
    }
  });
}

template void fill_normal(Stream &, float *, int, std::size_t, double, const Draws &);
template void fill_normal(Stream &, double *, int, std::size_t, double, const Draws &);
template void fill_uniform(Stream &, float *, const float *, int, std::size_t, const Draws &);
template void fill_uniform(Stream &, double *, const double *, int, std::size_t, const Draws &);

} // namespace theta
