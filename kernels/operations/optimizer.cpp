#include "optimizer.h"
#include "kernels/device/names.h"
#include "kernels/parts/parallel.h"

namespace theta {

namespace cuda {
decltype(theta::adam_step<float>) adam_step;
decltype(theta::sgd_step<float>) sgd_step;
decltype(theta::clip_gradient<float>) clip_gradient;
} // namespace cuda

namespace {
constexpr std::array optimizer_names{"sgd", "adam", "adamw"};
}

OptimizerKind optimizer_named(std::string_view name) {
  return value_named<OptimizerKind>(name, optimizer_names, "optimizer");
}
const char *name_of(OptimizerKind kind) { return optimizer_names[std::size_t(kind)]; }

template <class T> void adam_step(Stream &s, T *p, T *m, T *v, T *ema, T *g, std::size_t n, const Adam &o, bf16 *copy) {
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda())
      return cuda::adam_step(s, p, m, v, ema, g, n, o, copy);
  const AdamNumbers<T> numbers(o);
  const T factor = clip_factor<T>(o.clip);
#pragma omp parallel for if (worth_threads(double(n)))
  for (std::size_t i = 0; i < n; ++i) {
    numbers.update(p[i], m[i], v[i], factor * g[i]);
    g[i] = 0;
    if (ema)
      ema[i] = numbers.ema_decay * ema[i] + (1 - numbers.ema_decay) * p[i];
    if (copy)
      copy[i] = to_bf16(float(p[i]));
  }
}

template <class T> void sgd_step(Stream &s, T *p, T *u, T *g, std::size_t n, const Sgd &o) {
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda())
      return cuda::sgd_step(s, p, u, g, n, o);
  const SgdNumbers<T> numbers(o);
  const T factor = clip_factor<T>(o.clip);
#pragma omp parallel for if (worth_threads(double(n)))
  for (std::size_t i = 0; i < n; ++i) {
    numbers.update(p[i], u[i], factor * g[i]);
    g[i] = 0;
  }
}

template <class T> void clip_gradient(Stream &s, T *g, std::size_t n, const Clip &clip) {
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda())
      return cuda::clip_gradient(s, g, n, clip);
  const T factor = clip_factor<T>(clip);
#pragma omp parallel for if (worth_threads(double(n)))
  for (std::size_t i = 0; i < n; ++i)
    g[i] *= factor;
}

#define THETA_INSTANTIATE(T)                                                                                           \
  template void adam_step(Stream &, T *, T *, T *, T *, T *, std::size_t, const Adam &, bf16 *);                       \
  template void sgd_step(Stream &, T *, T *, T *, std::size_t, const Sgd &);                                           \
  template void clip_gradient(Stream &, T *, std::size_t, const Clip &);
THETA_INSTANTIATE(float)
THETA_INSTANTIATE(double)

} // namespace theta
