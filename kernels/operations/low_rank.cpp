#include "low_rank.h"
#include "kernels/device/parallel.h"

namespace theta {

namespace cuda {
void low_rank_forward(Stream &, float *theta, const float *base, const float *adapter, const LowRank &);
void low_rank_backward(Stream &, float *d_adapter, const float *d_theta, const float *base, const float *adapter,
                       const LowRank &);
void gather_points(Stream &, float *x, float *y, const SignalPoints &, const BatchOrder &);
} // namespace cuda

template <class T> void low_rank_forward(Stream &s, T *theta, const T *base, const T *adapter, const LowRank &p) {
  const double all = double(p.networks) * double(p.weights());
  const Span span(s, "low_rank_forward", sizeof(T) * all, 2 * p.rank * all);
  if constexpr (built_with_cuda && std::is_same_v<T, float>)
    if (s.is_cuda())
      return cuda::low_rank_forward(s, theta, base, adapter, p);
  parallel_for(p.networks, all * (p.rank + 1), [&](long n) {
    const T *u = adapter + std::size_t(n) * p.adapters, *v = u + p.out * p.rank;
    T *w = theta + std::size_t(n) * p.parameters, *bias = w + p.out * p.in;
    const T *base_bias = base + p.out * p.in;
    for (int o = 0; o < p.out; ++o)
      for (int i = 0; i <= p.in; ++i) {
        T sum = 1;
        for (int r = 0; r < p.rank; ++r)
          sum += u[o * p.rank + r] * v[r * (p.in + 1) + i];
        if (i < p.in)
          w[o * p.in + i] = base[o * p.in + i] * sum;
        else
          bias[o] = base_bias[o] * sum;
      }
  });
}

template <class T>
void low_rank_backward(Stream &s, T *d_adapter, const T *d_theta, const T *base, const T *adapter, const LowRank &p) {
  const double all = double(p.networks) * double(p.weights());
  const Span span(s, "low_rank_backward", 2 * sizeof(T) * all, 6 * p.rank * all);
  if constexpr (built_with_cuda && std::is_same_v<T, float>)
    if (s.is_cuda())
      return cuda::low_rank_backward(s, d_adapter, d_theta, base, adapter, p);
  parallel_for(p.networks, all * 3 * p.rank, [&](long n) {
    const T *u = adapter + std::size_t(n) * p.adapters, *v = u + p.out * p.rank;
    T *du = d_adapter + std::size_t(n) * p.adapters, *dv = du + p.out * p.rank;
    std::fill(du, du + p.numbers(), T(0));
    const T *dw = d_theta + std::size_t(n) * p.parameters;
    for (int o = 0; o < p.out; ++o)
      for (int i = 0; i <= p.in; ++i) {
        const std::size_t at = std::size_t(i < p.in ? o * p.in + i : p.out * p.in + o);
        const T g = dw[at] * base[at];
        for (int r = 0; r < p.rank; ++r) {
          du[o * p.rank + r] += g * v[r * (p.in + 1) + i];
          dv[r * (p.in + 1) + i] += g * u[o * p.rank + r];
        }
      }
  });
}

template <class T> void gather_points(Stream &s, T *x, T *y, const SignalPoints &from, const BatchOrder &p) {
  const double all = double(p.networks) * p.batch * (from.inputs + from.outputs);
  const Span span(s, "gather_points", 2 * sizeof(T) * all);
  if constexpr (built_with_cuda && std::is_same_v<T, float>)
    if (s.is_cuda())
      return cuda::gather_points(s, x, y, from, p);
  parallel_for(p.networks, all, [&](long n) {
    const std::size_t signal = (p.first_stream + std::uint32_t(n)) % from.signals;
    for (int b = 0; b < p.batch; ++b) {
      const std::size_t e = std::uint32_t(p.batch) == p.examples ? std::size_t(b) : p.example(int(n), b);
      const std::size_t to = std::size_t(n) * std::size_t(p.batch) + std::size_t(b);
      for (int i = 0; i < from.inputs; ++i)
        x[to * std::size_t(from.inputs) + std::size_t(i)] =
            T(from.coordinate[e * std::size_t(from.inputs) + std::size_t(i)]);
      for (int o = 0; o < from.outputs; ++o)
        y[to * std::size_t(from.outputs) + std::size_t(o)] =
            T(from.value[(signal * p.examples + e) * std::size_t(from.outputs) + std::size_t(o)]) * T(from.scale) +
            T(from.shift);
    }
  });
}

template void low_rank_forward(Stream &, float *, const float *, const float *, const LowRank &);
template void low_rank_forward(Stream &, double *, const double *, const double *, const LowRank &);
template void low_rank_backward(Stream &, float *, const float *, const float *, const float *, const LowRank &);
template void low_rank_backward(Stream &, double *, const double *, const double *, const double *, const LowRank &);
template void gather_points(Stream &, float *, float *, const SignalPoints &, const BatchOrder &);
template void gather_points(Stream &, double *, double *, const SignalPoints &, const BatchOrder &);

} // namespace theta
