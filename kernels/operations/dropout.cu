#include "dropout.h"
#include "kernels/parts/each.cuh"

namespace theta::cuda {

void dropout(Stream &s, float *y, const float *x, int rows, std::size_t cols, double rate, const Draws &draws) {
  const Draws d = draws;
  each(s, rows * cols, [=] __device__(std::size_t i) {
    y[i] = x[i] * dropout_factor_of(d, d.first_stream + std::uint32_t(i / cols), i % cols, float(rate));
  });
}

} // namespace theta::cuda
