#include "kernels/parts/each.cuh"
#include "standardise.h"

namespace theta::cuda {

void standardise(Stream &s, float *y, const float *x, const float *mean, const float *std, int rows, std::size_t cols,
                 std::size_t padded) {
  each(s, rows * padded, [=] __device__(std::size_t e) {
    const std::size_t k = e / padded, i = e % padded;
    y[e] = i < cols ? (x[k * cols + i] - mean[i]) / std[i] : 0.0f;
  });
}

void unstandardise(Stream &s, float *x, const float *y, const float *mean, const float *std, int rows, std::size_t cols,
                   std::size_t padded) {
  each(s, rows * cols, [=] __device__(std::size_t e) {
    const std::size_t k = e / cols, i = e % cols;
    x[e] = y[k * padded + i] * std[i] + mean[i];
  });
}

} // namespace theta::cuda
