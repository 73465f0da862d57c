#include "kernels/parts/each.cuh"
#include "kernels/parts/warp.cuh"
#include "row_l2.h"

namespace theta::cuda {

namespace {

struct Partials {
  float sum[32];
};

__global__ void row_squares_kernel(float *out, const float *x, std::size_t cols) {
  auto &partials = shared<Partials>();
  const float *row = x + blockIdx.x * cols;
  float sum = 0;
  for (std::size_t c = threadIdx.x; c < cols; c += blockDim.x)
    sum = fmaf(row[c], row[c], sum);
  sum = block_reduce<Sum>(sum, partials.sum);
  if (threadIdx.x == 0)
    out[blockIdx.x] = sum;
}

} // namespace

void row_squares(Stream &s, float *out, const float *x, int rows, std::size_t cols) {
  launch(row_squares_kernel, unsigned(rows), 256, sizeof(Partials), s, out, x, cols);
}

void combine_l2(Stream &s, float *d, const float *squares_a, const float *squares_b, int na, int nb) {
  each(s, std::size_t(na) * nb,
       [=] __device__(std::size_t i) { d[i] = root_of_difference(squares_a[i / nb] + squares_b[i % nb] - 2 * d[i]); });
}

} // namespace theta::cuda
