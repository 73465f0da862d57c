#include "each.cuh"
#include "softmax_cross_entropy.h"

namespace theta::cuda {

void softmax_cross_entropy(Stream &s, float *loss, float *dlogits, const float *logits, const std::uint8_t *label,
                           const CrossEntropy &p) {
  each(s, std::size_t(p.rows), [=] __device__(std::size_t r) {
    const float *x = logits + r * p.classes;
    const int truth = label[r % p.label_rows];
    float largest = x[0], plain_sum = 0, sum = 0;
    for (int c = 0; c < p.classes; ++c)
      largest = fmaxf(largest, x[c]), plain_sum += x[c];
    for (int c = 0; c < p.classes; ++c)
      sum += expf(x[c] - largest);
    const float log_sum = largest + logf(sum), smoothing = float(p.smoothing);
    loss[r] = log_sum - (1 - smoothing) * x[truth] - smoothing / p.classes * plain_sum;
    if (!dlogits)
      return;
    for (int c = 0; c < p.classes; ++c) {
      const float target = (c == truth ? 1 - smoothing : 0.0f) + smoothing / p.classes;
      dlogits[r * p.classes + c] = float(p.gradient) * (expf(x[c] - log_sum) - target);
    }
  });
}

} // namespace theta::cuda
