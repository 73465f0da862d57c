#include "kernels/parts/each.cuh"
#include "kernels/parts/vectors.cuh"
#include "optimizer.h"

namespace theta::cuda {

namespace {

// Elements (i·Width ...) of every vector, i < n.
template <int Width>
__global__ void __launch_bounds__(256) adam_kernel(float *p, float *m, float *v, float *ema, float *g, bf16 *copy,
                                                   std::size_t n, AdamNumbers<float> numbers, Clip clip) {
  const std::size_t thread = std::size_t(blockIdx.x) * blockDim.x + threadIdx.x, i = thread * Width;
  if (thread >= n)
    return;
  const float factor = clip_factor<float>(clip);
  float pi[Width], mi[Width], vi[Width], gi[Width], ei[Width];
  load<Width>(pi, p + i);
  load<Width>(mi, m + i);
  load<Width>(vi, v + i);
  load<Width>(gi, g + i);
  if (ema)
    load<Width>(ei, ema + i);
#pragma unroll
  for (int e = 0; e < Width; ++e) {
    numbers.update(pi[e], mi[e], vi[e], factor * gi[e]);
    gi[e] = 0;
    if (ema)
      ei[e] = numbers.ema_decay * ei[e] + (1 - numbers.ema_decay) * pi[e];
  }
  store<Width>(p + i, pi);
  store<Width>(m + i, mi);
  store<Width>(v + i, vi);
  store<Width>(g + i, gi);
  if (ema)
    store<Width>(ema + i, ei);
  if (copy)
    store<Width>(copy + i, pi);
}

} // namespace

void adam_step(Stream &s, float *p, float *m, float *v, float *ema, float *g, std::size_t n, const Adam &o,
               bf16 *copy) {
  const AdamNumbers<float> numbers(o);
  const std::size_t fours = aligned16(p, m, v, ema, g, copy) ? n / 4 : 0, rest = n - 4 * fours, at = 4 * fours;
  if (fours)
    launch(adam_kernel<4>, blocks_for(fours, 256), 256, 0, s, p, m, v, ema, g, copy, fours, numbers, o.clip);
  if (rest)
    launch(adam_kernel<1>, blocks_for(rest, 256), 256, 0, s, p + at, m + at, v + at, ema ? ema + at : nullptr, g + at,
           copy ? copy + at : nullptr, rest, numbers, o.clip);
}

void sgd_step(Stream &s, float *p, float *u, float *g, std::size_t n, const Sgd &o) {
  const SgdNumbers<float> numbers(o);
  const Clip clip = o.clip;
  each(s, n, [=] __device__(std::size_t i) {
    numbers.update(p[i], u[i], clip_factor<float>(clip) * g[i]);
    g[i] = 0;
  });
}

void clip_gradient(Stream &s, float *g, std::size_t n, const Clip &o) {
  const Clip clip = o;
  each(s, n, [=] __device__(std::size_t i) { g[i] *= clip_factor<float>(clip); });
}

} // namespace theta::cuda
