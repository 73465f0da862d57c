#include "diffusion.h"
#include "each.cuh"

namespace theta::cuda {

void q_sample(Stream &s, float *xt, const float *x0, const float *eps, const int *t, const float *alpha_bar, int rows,
              std::size_t cols) {
  each(s, rows * cols, [=] __device__(std::size_t i) {
    const float kept = alpha_bar[t[i / cols]];
    xt[i] = sqrtf(kept) * x0[i] + sqrtf(1 - kept) * eps[i];
  });
}

void time_embedding(Stream &s, float *out, const int *t, int rows, int width) {
  const int half = width / 2;
  each(s, std::size_t(rows) * half, [=] __device__(std::size_t j) {
    const std::size_t r = j / half, i = j % half;
    const double angle = t[r] * pow(10000.0, -double(i) / half); // t up to 1000: a float angle would lose its end
    out[r * width + i] = float(sin(angle));
    out[r * width + half + i] = float(cos(angle));
  });
}

void denoise_step(Stream &s, float *z, const float *eps, int rows, std::size_t cols, const DenoiseStep &step,
                  const Draws &draws) {
  const float from_z = float(step.from_z), from_eps = float(step.from_eps), sigma = float(step.sigma);
  const Draws d = draws;
  each(s, rows * cols, [=] __device__(std::size_t i) {
    float next = from_z * z[i] + from_eps * eps[i];
    if (sigma > 0)
      next += sigma * normal(d.seed, d.purpose, d.first_stream + std::uint32_t(i / cols), d.first_index + i % cols);
    z[i] = next;
  });
}

} // namespace theta::cuda
