#include "code_posterior.h"
#include "kernels/device/parallel.h"
#include "kernels/device/trace.h"

namespace theta {

namespace cuda {
decltype(theta::code_moments<float>) code_moments;
decltype(theta::code_targets<float>) code_targets;
decltype(theta::code_answers<float>) code_answers;
} // namespace cuda

namespace {

// f(row's place, element) of every code, with about `steps` simple steps each.
template <class T, class F> void for_codes(const CodeElements<T> &p, double steps, F f) {
  parallel_for(p.rows, steps * p.rows * double(p.size), [&](int row) {
    for (std::size_t e = 0; e < p.size; ++e)
      if (p.second[e] >= 0)
        f(std::size_t(row), std::size_t(row) * p.size, e);
  });
}

template <class T> double bytes_of(const CodeElements<T> &p) { return 3.0 * p.rows * double(p.size) * sizeof(T); }

} // namespace

template <class T>
void code_moments(Stream &s, T *y, const T *z, const T *t, const NoisePath<T> &path, const CodeElements<T> &p) {
  const Span span(s, "code_moments", bytes_of(p));
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda())
      return cuda::code_moments(s, y, z, t, path, p);
  for_codes(p, 40.0 * (2 * p.most + 1), [&](std::size_t row, std::size_t base, std::size_t e) {
    T &first = y[base + e], &second = y[base + std::size_t(p.second[e])];
    const auto moments = moments_of<T>(first, second, z[base + e], path.at(t[row]), p.mean[e], p.std[e], p.most);
    first = moments.first, second = moments.second;
  });
}

template <class T>
void code_targets(Stream &s, T *target, const T *z, const T *t, const NoisePath<T> &path, Objective objective,
                  const CodeElements<T> &p) {
  const Span span(s, "code_targets", bytes_of(p));
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda())
      return cuda::code_targets(s, target, z, t, path, objective, p);
  for_codes(p, 10, [&](std::size_t row, std::size_t base, std::size_t e) {
    const T x = data_of(objective, path.at(t[row]), z[base + e], target[base + e]);
    target[base + e] = x, target[base + std::size_t(p.second[e])] = x * x;
  });
}

template <class T>
void code_answers(Stream &s, T *y, const T *z, const T *t, const NoisePath<T> &path, Objective objective,
                  const CodeElements<T> &p) {
  const Span span(s, "code_answers", bytes_of(p));
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda())
      return cuda::code_answers(s, y, z, t, path, objective, p);
  for_codes(p, 10, [&](std::size_t row, std::size_t base, std::size_t e) {
    y[base + e] = answer_of(objective, path.at(t[row]), z[base + e], y[base + e]);
    y[base + std::size_t(p.second[e])] = 0;
  });
}

#define THETA_INSTANTIATE(T)                                                                                           \
  template void code_moments(Stream &, T *, const T *, const T *, const NoisePath<T> &, const CodeElements<T> &);      \
  template void code_targets(Stream &, T *, const T *, const T *, const NoisePath<T> &, Objective,                     \
                             const CodeElements<T> &);                                                                 \
  template void code_answers(Stream &, T *, const T *, const T *, const NoisePath<T> &, Objective,                     \
                             const CodeElements<T> &);
THETA_INSTANTIATE(float)
THETA_INSTANTIATE(double)

} // namespace theta
