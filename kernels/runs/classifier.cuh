// What one image's logits come to on cuda, by one thread: its loss and gradient, or whether its answer is wrong.
#pragma once
#include "kernels/device/bf16.h"
#include "kernels/device/launch.h"

namespace theta::cuda {

struct LogSum {
  float log_sum, plain; // log Σ exp, and Σ, of the logits
};
__device__ inline LogSum log_sum_of(const float *z, int classes) {
  float largest = z[0], sum = 0, plain = 0;
  for (int c = 1; c < classes; ++c)
    largest = fmaxf(largest, z[c]);
  for (int c = 0; c < classes; ++c)
    sum += expf(z[c] - largest), plain += z[c];
  return {largest + logf(sum), plain};
}

// d [columns] = the gradient of weight·cross-entropy, zero beyond the classes and where the image does not count.
// Returns its loss.
__device__ inline float cross_entropy_gradient(bf16 *d, int columns, const float *z, int classes, int label,
                                               bool counts, float weight, float smoothing) {
  const LogSum of = log_sum_of(z, classes);
  const float rest = smoothing / float(classes);
  for (int c = 0; c < columns; ++c) {
    const float target = (c == label ? 1 - smoothing : 0.0f) + rest;
    d[c] = to_bf16(counts && c < classes ? (expf(z[c] - of.log_sum) - target) * weight : 0.0f);
  }
  return counts ? of.log_sum - (1 - smoothing) * z[label] - rest * of.plain : 0.0f;
}

// Adds the image's loss; returns whether the first of its largest logits is not its label's, or one of them is NaN.
__device__ inline bool judge(float &loss, const float *z, int classes, int label) {
  const LogSum of = log_sum_of(z, classes);
  int best = 0;
  for (int c = 1; c < classes; ++c)
    if (z[c] > z[best])
      best = c;
  loss += of.log_sum - z[label];
  return best != label || !(of.log_sum == of.log_sum);
}

// Into row `row` of [rows, classes].
__device__ inline void keep_logits(float *logits, const float *z, std::size_t row, int classes) {
  for (int c = 0; c < classes; ++c)
    logits[row * std::size_t(classes) + std::size_t(c)] = z[c];
}

} // namespace theta::cuda
