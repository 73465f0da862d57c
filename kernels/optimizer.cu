#include "each.cuh"
#include "optimizer.h"

namespace theta::cuda {

void adam_step(Stream &s, float *p, float *m, float *v, float *ema, float *g, std::size_t n, const Adam &o) {
  const AdamNumbers<float> numbers(o);
  const Clip clip = o.clip;
  each(s, n, [=] __device__(std::size_t i) {
    numbers.update(p[i], m[i], v[i], clip_factor<float>(clip) * g[i]);
    g[i] = 0;
    if (ema)
      ema[i] = numbers.ema_decay * ema[i] + (1 - numbers.ema_decay) * p[i];
  });
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
