#include "kernels/parts/each.cuh"
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

} // namespace theta::cuda
