#include "each.cuh"
#include "random.h"

namespace theta::cuda {

void fill_normal(Stream &s, float *x, int rows, std::size_t cols, double scale, const Draws &draws) {
  const Draws d = draws;
  each(s, rows * cols, [=] __device__(std::size_t i) {
    x[i] = float(scale) * normal(d.seed, d.purpose, d.first_stream + std::uint32_t(i / cols), d.first_index + i % cols);
  });
}

void fill_uniform(Stream &s, float *x, const float *bound, int rows, std::size_t cols, const Draws &draws) {
  const Draws d = draws;
  each(s, rows * cols, [=] __device__(std::size_t i) {
    const Bits4 bits = philox(d.seed, d.purpose, d.first_stream + std::uint32_t(i / cols), d.first_index + i % cols);
    x[i] = bound[i % cols] * (2 * uniform01(bits.word[0]) - 1);
  });
}

void fill_integers(Stream &s, int *x, int n, int limit, const Draws &draws) {
  const Draws d = draws;
  each(s, std::size_t(n), [=] __device__(std::size_t i) {
    const Bits4 bits = philox(d.seed, d.purpose, d.first_stream, d.first_index + i);
    x[i] = int((std::uint64_t(bits.word[0]) * std::uint64_t(limit)) >> 32);
  });
}

} // namespace theta::cuda
