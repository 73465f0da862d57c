#include "kernels/parts/each.cuh"
#include "lookup.h"

namespace theta::cuda {

void lookup_forward(Stream &s, float *y, const float *table, const float *id, const Lookup &lookup) {
  const Lookup p = lookup;
  each(s, std::size_t(p.networks) * p.rows * p.width, [=] __device__(std::size_t i) {
    const std::size_t c = i % p.width, r = i / p.width % p.rows, n = i / p.width / p.rows;
    y[i] = table[n * p.table_stride + std::size_t(p.row_of(id[n * p.id_stride + r])) * p.width + c];
  });
}

void lookup_backward(Stream &s, float *dtable, const float *dy, const float *id, const Lookup &lookup) {
  const Lookup p = lookup;
  each(s, std::size_t(p.networks) * p.vocabulary * p.width, [=] __device__(std::size_t i) {
    const std::size_t c = i % p.width, n = i / p.width / p.vocabulary;
    const int v = int(i / p.width % p.vocabulary);
    float sum = dtable[n * p.table_stride + std::size_t(v) * p.width + c];
    for (std::size_t r = 0; r < std::size_t(p.rows); ++r)
      if (p.row_of(id[n * p.id_stride + r]) == v)
        sum += dy[(n * p.rows + r) * p.width + c];
    dtable[n * p.table_stride + std::size_t(v) * p.width + c] = sum;
  });
}

} // namespace theta::cuda
