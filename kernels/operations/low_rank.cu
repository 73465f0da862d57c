#include "kernels/parts/each.cuh"
#include "low_rank.h"

namespace theta::cuda {

void low_rank_forward(Stream &s, float *theta, const float *base, const float *adapter, const LowRank &layer) {
  const LowRank p = layer;
  const std::size_t weights = p.weights();
  each(s, std::size_t(p.networks) * weights, [=] __device__(std::size_t at) {
    const std::size_t n = at / weights;
    const int e = int(at % weights), matrix = p.out * p.in;
    const int o = e < matrix ? e / p.in : e - matrix, i = e < matrix ? e % p.in : p.in;
    const float *u = adapter + n * p.adapters, *v = u + p.out * p.rank;
    float sum = 1;
    for (int r = 0; r < p.rank; ++r)
      sum = fmaf(u[o * p.rank + r], v[r * (p.in + 1) + i], sum);
    theta[n * p.parameters + std::size_t(e)] = base[e] * sum;
  });
}

// A thread an element of u or v: it goes along a row of weights, or down a column.
void low_rank_backward(Stream &s, float *d_adapter, const float *d_theta, const float *base, const float *adapter,
                       const LowRank &layer) {
  const LowRank p = layer;
  const std::size_t numbers = p.numbers();
  each(s, std::size_t(p.networks) * numbers, [=] __device__(std::size_t at) {
    const std::size_t n = at / numbers;
    const int e = int(at % numbers), of_u = p.out * p.rank;
    const float *u = adapter + n * p.adapters, *v = u + of_u, *dw = d_theta + n * p.parameters;
    float sum = 0;
    if (e < of_u) {
      const int o = e / p.rank, r = e % p.rank;
      for (int i = 0; i <= p.in; ++i) {
        const int w = i < p.in ? o * p.in + i : p.out * p.in + o;
        sum += dw[w] * base[w] * v[r * (p.in + 1) + i];
      }
    } else {
      const int r = (e - of_u) / (p.in + 1), i = (e - of_u) % (p.in + 1);
      for (int o = 0; o < p.out; ++o) {
        const int w = i < p.in ? o * p.in + i : p.out * p.in + o;
        sum += dw[w] * base[w] * u[o * p.rank + r];
      }
    }
    d_adapter[n * p.adapters + std::size_t(e)] = sum;
  });
}

void gather_points(Stream &s, float *x, float *y, const SignalPoints &points, const BatchOrder &order) {
  const SignalPoints from = points;
  const BatchOrder p = order;
  each(s, std::size_t(p.networks) * std::size_t(p.batch), [=] __device__(std::size_t to) {
    const int n = int(to / p.batch), b = int(to % p.batch);
    const std::size_t e = std::uint32_t(p.batch) == p.examples ? std::size_t(b) : p.example(n, b);
    const std::size_t signal = (p.first_stream + std::uint32_t(n)) % from.signals;
    for (int i = 0; i < from.inputs; ++i)
      x[to * from.inputs + i] = from.coordinate[e * from.inputs + i];
    for (int o = 0; o < from.outputs; ++o)
      y[to * from.outputs + o] =
          from.value[(signal * p.examples + e) * from.outputs + o] * float(from.scale) + float(from.shift);
  });
}

} // namespace theta::cuda
