#include "dropout.h"
#include "kernels/parts/each.cuh"

namespace theta::cuda {

void dropout(Stream &s, float *y, const float *x, int rows, std::size_t cols, double rate, const Draws &draws) {
  const Draws d = draws;
  const std::size_t calls = calls_of(d, cols);
  each(s, rows * calls, [=] __device__(std::size_t i) {
    const std::size_t r = i / calls, row = r * cols;
    drop_call(y + row, x + row, cols, i % calls, d, d.first_stream + std::uint32_t(r), float(rate));
  });
}

} // namespace theta::cuda
