// Sums in two stages: blocks leave partial sums in scratch memory, a second launch adds them up in one fixed order.
#pragma once
#include "kernels/device/launch.h"

namespace theta {

template <class T> struct PartialTile { T sum[32][33]; };

// A block sums 32 columns: row y of its threads takes parts y, y + blockDim.y, ..., then row 0 adds up the rows.
template <class T> __global__ void add_partials_kernel(T *out, const T *partial, int parts, std::size_t n) {
  auto &tile = shared<PartialTile<T>>();
  const std::size_t i = std::size_t(blockIdx.x) * 32 + threadIdx.x;
  T sum = 0;
  for (int part = int(threadIdx.y); part < parts && i < n; part += int(blockDim.y))
    sum += partial[part * n + i];
  tile.sum[threadIdx.y][threadIdx.x] = sum;
  __syncthreads();
  if (threadIdx.y > 0 || i >= n)
    return;
  for (unsigned y = 1; y < blockDim.y; ++y)
    sum += tile.sum[y][threadIdx.x];
  out[i] += sum;
}

// out[i] += Σ_part partial[part·n + i].
template <class T> void add_partials(Stream &s, T *out, const T *partial, int parts, std::size_t n) {
  unsigned rows = 1;
  while (rows < 32 && int(rows) < parts)
    rows *= 2;
  launch(add_partials_kernel<T>, blocks_for(n, 32), dim3(32, rows), sizeof(PartialTile<T>), s, out, partial, parts, n);
}

} // namespace theta
