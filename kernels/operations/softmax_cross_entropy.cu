#include "kernels/parts/each.cuh"
#include "softmax_cross_entropy.h"

namespace theta::cuda {

namespace {

// One row of logits, by one thread; `to` may be the row itself.
__device__ inline float one_row(float *to, const float *x, int truth, const CrossEntropy &p, bool gradient) {
  float largest = x[0], plain_sum = 0, sum = 0;
  for (int c = 0; c < p.classes; ++c)
    largest = fmaxf(largest, x[c]), plain_sum += x[c];
  for (int c = 0; c < p.classes; ++c)
    sum += expf(x[c] - largest);
  const float log_sum = largest + logf(sum), smoothing = float(p.smoothing);
  const float loss = log_sum - (1 - smoothing) * x[truth] - smoothing / float(p.classes) * plain_sum;
  for (int c = 0; gradient && c < p.classes; ++c) {
    const float target = (c == truth ? 1 - smoothing : 0.0f) + smoothing / float(p.classes);
    to[c] = float(p.gradient) * (expf(x[c] - log_sum) - target);
  }
  return loss;
}

// A block's rows, staged so that global memory is read and written in order.
constexpr int block_rows = 128, staged_classes = 64;
struct Rows {
  float x[block_rows * staged_classes];
};

__global__ void staged_kernel(float *loss, float *dlogits, const float *logits, const std::uint8_t *label,
                              CrossEntropy p) {
  auto &rows = shared<Rows>();
  const int first = int(blockIdx.x) * block_rows, count = p.rows - first < block_rows ? p.rows - first : block_rows;
  const std::size_t base = std::size_t(first) * p.classes;
  for (int e = int(threadIdx.x); e < count * p.classes; e += block_rows)
    rows.x[e] = logits[base + e];
  __syncthreads();
  if (int(threadIdx.x) < count) {
    float *row = rows.x + int(threadIdx.x) * p.classes;
    const int r = first + int(threadIdx.x);
    loss[r] = one_row(row, row, label[r % p.label_rows], p, dlogits != nullptr);
  }
  if (!dlogits)
    return; // the whole block
  __syncthreads();
  for (int e = int(threadIdx.x); e < count * p.classes; e += block_rows)
    dlogits[base + e] = rows.x[e];
}

} // namespace

void softmax_cross_entropy(Stream &s, float *loss, float *dlogits, const float *logits, const std::uint8_t *label,
                           const CrossEntropy &p) {
  if (p.classes <= staged_classes) {
    launch(staged_kernel, blocks_for(std::size_t(p.rows), block_rows), block_rows,
           sizeof(float) * block_rows * unsigned(p.classes), s, loss, dlogits, logits, label, p);
    return;
  }
  const CrossEntropy q = p;
  each(s, std::size_t(p.rows), [=] __device__(std::size_t r) {
    loss[r] = one_row(dlogits ? dlogits + r * q.classes : nullptr, logits + r * q.classes, label[r % q.label_rows], q,
                      dlogits != nullptr);
  });
}

} // namespace theta::cuda
