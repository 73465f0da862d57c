#include "optimizer.h"
#include "kernels/device/names.h"
#include "kernels/device/parallel.h"
#include "kernels/parts/simd.h"

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
std::span<const char *const> names_of_optimizers() { return optimizer_names; }

template <class T> void adam_step(Stream &s, T *p, T *m, T *v, T *ema, T *g, std::size_t n, const Adam &o, bf16 *copy) {
  const Span span(s, "adam_step", (ema ? 9.0 : 7.0) * double(n) * sizeof(T), 12.0 * double(n));
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda())
      return cuda::adam_step(s, p, m, v, ema, g, n, o, copy);
  using P = simd::Pack<T>;
  constexpr int L = simd::lanes<T>;
  const AdamNumbers<T> c(o);
  const T factor = clip_factor<T>(o.clip);
  parallel_for(long((n + L - 1) / L), double(n), [=](long at) {
    const std::size_t i = std::size_t(at) * L;
    const int count = int(std::min<std::size_t>(n - i, L));
    const auto some = [count](const T *from) { return simd::load_some<P>(from, count); };
    P weight = some(p + i) * c.decay;
    const P gradient = factor * some(g + i) + c.l2 * weight;
    const P first = c.beta1 * some(m + i) + (1 - c.beta1) * gradient,
            second = c.beta2 * some(v + i) + (1 - c.beta2) * gradient * gradient;
    weight -= c.step_size * first / (simd::square_root(second) * c.root_correction + c.eps);
    simd::store_some(p + i, weight, count), simd::store_some(m + i, first, count);
    simd::store_some(v + i, second, count), simd::store_some(g + i, P{}, count);
    if (ema)
      simd::store_some(ema + i, c.ema_decay * some(ema + i) + (1 - c.ema_decay) * weight, count);
    if (copy)
      for (int k = 0; k < count; ++k)
        copy[i + std::size_t(k)] = to_bf16(float(weight[k]));
  });
}

template <class T> void sgd_step(Stream &s, T *p, T *u, T *g, std::size_t n, const Sgd &o) {
  const Span span(s, "sgd_step", 5.0 * double(n) * sizeof(T), 4.0 * double(n));
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda())
      return cuda::sgd_step(s, p, u, g, n, o);
  const SgdNumbers<T> numbers(o);
  const T factor = clip_factor<T>(o.clip);
  parallel_for(n, double(n), [&](std::size_t i) {
    numbers.update(p[i], u[i], factor * g[i]);
    g[i] = 0;
  });
}

template <class T> void clip_gradient(Stream &s, T *g, std::size_t n, const Clip &clip) {
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda())
      return cuda::clip_gradient(s, g, n, clip);
  const T factor = clip_factor<T>(clip);
  parallel_for(n, double(n), [&](std::size_t i) { g[i] *= factor; });
}

#define THETA_INSTANTIATE(T)                                                                                           \
  template void adam_step(Stream &, T *, T *, T *, T *, T *, std::size_t, const Adam &, bf16 *);                       \
  template void sgd_step(Stream &, T *, T *, T *, std::size_t, const Sgd &);                                           \
  template void clip_gradient(Stream &, T *, std::size_t, const Clip &);
THETA_INSTANTIATE(float)
THETA_INSTANTIATE(double)

} // namespace theta
