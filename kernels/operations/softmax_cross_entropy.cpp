#include "softmax_cross_entropy.h"
#include "kernels/device/parallel.h"
#include <algorithm>
#include <cmath>

namespace theta {

namespace cuda {
decltype(theta::softmax_cross_entropy<float>) softmax_cross_entropy;
}

template <class T>
void softmax_cross_entropy(Stream &s, T *loss, T *dlogits, const T *logits, const std::uint8_t *label,
                           const CrossEntropy &p) {
  const Span span(s, "softmax_cross_entropy", 2.0 * p.rows * p.classes * sizeof(T));
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda())
      return cuda::softmax_cross_entropy(s, loss, dlogits, logits, label, p);
  parallel_for(p.rows, 4.0 * p.rows * p.classes, [&](int r) {
    const T *x = logits + std::size_t(r) * p.classes;
    const int truth = label[r % p.label_rows];
    const T largest = *std::max_element(x, x + p.classes);
    T sum = 0, plain_sum = 0;
    for (int c = 0; c < p.classes; ++c)
      sum += std::exp(x[c] - largest), plain_sum += x[c];
    const T log_sum = largest + std::log(sum), smoothing = T(p.smoothing);
    loss[r] = log_sum - (1 - smoothing) * x[truth] - smoothing / p.classes * plain_sum;
    if (!dlogits)
      return;
    for (int c = 0; c < p.classes; ++c) {
      const T target = (c == truth ? 1 - smoothing : T(0)) + smoothing / p.classes;
      dlogits[std::size_t(r) * p.classes + c] = T(p.gradient) * (std::exp(x[c] - log_sum) - target);
    }
  });
}

template void softmax_cross_entropy(Stream &, float *, float *, const float *, const std::uint8_t *,
                                    const CrossEntropy &);
template void softmax_cross_entropy(Stream &, double *, double *, const double *, const std::uint8_t *,
                                    const CrossEntropy &);

} // namespace theta
