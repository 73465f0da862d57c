#include "add.h"
#include "kernels/parts/each.cuh"

namespace theta::cuda {

void add_scaled(Stream &s, float *y, const float *a, const float *b, double scale, std::size_t n) {
  each(s, n, [=] __device__(std::size_t i) { y[i] = a[i] + float(scale) * b[i]; });
}

void add_over_channels(Stream &s, float *y, const float *x, const float *e, int batch, int channels, int length) {
  const std::size_t sample = std::size_t(channels) * length;
  each(s, batch * sample, [=] __device__(std::size_t i) { y[i] = x[i] + e[i / sample * length + i % length]; });
}

void sum_over_channels_accumulate(Stream &s, float *de, const float *dy, int batch, int channels, int length) {
  each(s, std::size_t(batch) * length, [=] __device__(std::size_t i) {
    const float *first = dy + i / length * channels * length + i % length;
    float sum = 0;
    for (int c = 0; c < channels; ++c)
      sum += first[std::size_t(c) * length];
    de[i] += sum;
  });
}

} // namespace theta::cuda
