#include "features.h"
#include "kernels/parts/each.cuh"

namespace theta::cuda {

void number_features(Stream &s, float *out, const float *t, int rows, int width) {
  const std::size_t half = std::size_t(width) / 2;
  each(s, rows * half, [=] __device__(std::size_t e) {
    const std::size_t r = e / half, i = e % half;
    const bool told = t[r] == t[r]; // not NaN
    const float angle = told ? t[r] * powf(1000, float(i) / float(half - 1)) : 0;
    out[r * std::size_t(width) + i] = told ? sinf(angle) : 0;
    out[r * std::size_t(width) + half + i] = told ? cosf(angle) : 0;
  });
}

void label_features(Stream &s, float *out, const float *label, int rows, int classes) {
  each(s, std::size_t(rows) * classes,
       [=] __device__(std::size_t e) { out[e] = label[e / classes] == float(e % classes) ? 1 : 0; });
}

void whole_number_features(Stream &s, float *out, const float *number, int rows, int width) {
  const int half = width / 2;
  each(s, std::size_t(rows) * width, [=] __device__(std::size_t e) {
    const int r = int(e / width), i = int(e % width);
    const double angle = double(number ? number[r] : float(r)) * pow(10000.0, -double(i % half) / half);
    out[e] = i < half ? float(sin(angle)) : i < 2 * half ? float(cos(angle)) : 0;
  });
}

} // namespace theta::cuda
