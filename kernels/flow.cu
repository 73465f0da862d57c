#include "each.cuh"
#include "flow.h"

namespace theta::cuda {

void draw_times(Stream &s, float *t, int rows, const Draws &d) {
  each(s, std::size_t(rows), [=] __device__(std::size_t r) {
    t[r] = 1 / (1 + expf(-normal(d.seed, d.purpose, d.first_stream + std::uint32_t(r), d.first_index)));
  });
}

void flow_mix(Stream &s, float *xt, float *velocity, const float *x0, const float *eps, const float *t, int rows,
              std::size_t cols) {
  each(s, rows * cols, [=] __device__(std::size_t i) {
    const float data = x0[i], noise = eps[i], at = t[i / cols];
    xt[i] = (1 - at) * data + at * noise;
    velocity[i] = noise - data;
  });
}

void time_features(Stream &s, float *out, const float *t, int rows, int width) {
  const std::size_t half = std::size_t(width) / 2;
  each(s, rows * half, [=] __device__(std::size_t e) {
    const std::size_t r = e / half, i = e % half;
    const float angle = t[r] * powf(1000, float(i) / float(half - 1));
    out[r * std::size_t(width) + i] = sinf(angle), out[r * std::size_t(width) + half + i] = cosf(angle);
  });
}

void copy_rows(Stream &s, float *to, std::size_t to_step, const float *from, std::size_t from_step, int rows,
               std::size_t cols) {
  each(s, rows * cols,
       [=] __device__(std::size_t e) { to[e / cols * to_step + e % cols] = from[e / cols * from_step + e % cols]; });
}

} // namespace theta::cuda
