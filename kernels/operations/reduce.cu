#include "kernels/parts/each.cuh"
#include "kernels/parts/partials.cuh"
#include "kernels/parts/vectors.cuh"
#include "kernels/parts/warp.cuh"
#include "reduce.h"

namespace theta::cuda {

namespace {

constexpr unsigned threads = 256;
struct Partials {
  float sum[32];
};

__global__ void row_sum_kernel(float *out, const float *x, std::size_t cols, float scale) {
  auto &partials = shared<Partials>();
  const float *row = x + blockIdx.x * cols;
  float sum = 0;
  for (std::size_t c = threadIdx.x; c < cols; c += blockDim.x)
    sum += row[c];
  sum = block_reduce<Sum>(sum, partials.sum);
  if (threadIdx.x == 0)
    out[blockIdx.x] += scale * sum;
}

__global__ void row_max_abs_kernel(float *out, const float *x, std::size_t cols) {
  auto &partials = shared<Partials>();
  const float *row = x + blockIdx.x * cols;
  float largest = 0;
  for (std::size_t c = threadIdx.x; c < cols; c += blockDim.x) {
    const float a = fabsf(row[c]);
    largest = a <= 3.402823466e38f ? fmaxf(largest, a) : HUGE_VALF;
  }
  largest = block_reduce<Max>(largest, partials.sum);
  if (threadIdx.x == 0)
    out[blockIdx.x] = largest;
}

template <class T> __global__ void channel_sum_kernel(float *out, const T *x, int batch, int channels, int length) {
  auto &partials = shared<Partials>();
  const std::size_t n = std::size_t(batch) * length;
  float sum = 0;
  for (std::size_t e = threadIdx.x; e < n; e += blockDim.x)
    sum += to_float(x[(e / length * channels + blockIdx.x) * length + e % length]);
  sum = block_reduce<Sum>(sum, partials.sum);
  if (threadIdx.x == 0)
    out[blockIdx.x] += sum;
}

// partial[b] = Σ term(i) over block b's stretch of n elements.
template <class F> __global__ void stretch_kernel(float *partial, std::size_t n, F term) {
  auto &partials = shared<Partials>();
  const std::size_t step = (n + gridDim.x - 1) / gridDim.x, first = blockIdx.x * step;
  const std::size_t last = first + step < n ? first + step : n;
  float sum = 0;
  for (std::size_t i = first + threadIdx.x; i < last; i += blockDim.x)
    sum += term(i);
  sum = block_reduce<Sum>(sum, partials.sum);
  if (threadIdx.x == 0)
    partial[blockIdx.x] = sum;
}

// out[0] = finish(Σ partial), by one block.
template <class F> __global__ void finish_kernel(float *out, const float *partial, unsigned n, F finish) {
  auto &partials = shared<Partials>();
  float sum = 0;
  for (unsigned i = threadIdx.x; i < n; i += blockDim.x)
    sum += partial[i];
  sum = block_reduce<Sum>(sum, partials.sum);
  if (threadIdx.x == 0)
    out[0] = finish(sum);
}

template <class Term, class Finish>
void sum_in_stretches(Stream &s, float *out, std::size_t n, float *workspace, const Term &term, const Finish &finish) {
  const unsigned parts = n < partial_sums * threads ? blocks_for(n, threads) : unsigned(partial_sums);
  launch(stretch_kernel<Term>, parts, threads, sizeof(Partials), s, workspace, n, term);
  launch(finish_kernel<Finish>, 1u, threads, sizeof(Partials), s, out, workspace, parts, finish);
}

constexpr unsigned tile_rows = threads / 32;
template <int Width> struct ColumnTile { float sum[tile_rows][32][Width]; };

// sums[part][c] = Σ x[r, c] over the part's rows: 32·Width columns a block, whose warps walk down the rows.
template <int Width, class T>
__global__ void __launch_bounds__(threads)
    column_sums_kernel(float *sums, const T *x, int rows, int part_rows, int cols) {
  auto &tile = shared<ColumnTile<Width>>();
  const int lane = int(threadIdx.x) % 32, warp = int(threadIdx.x) / 32, part = int(blockIdx.y);
  const int column = (int(blockIdx.x) * 32 + lane) * Width;
  const int last = (part + 1) * part_rows < rows ? (part + 1) * part_rows : rows;
  float sum[Width] = {};
  for (int row = part * part_rows + warp; row < last && column < cols; row += int(tile_rows)) {
    float v[Width];
    load<Width>(v, x + std::size_t(row) * cols + column);
#pragma unroll
    for (int e = 0; e < Width; ++e)
      sum[e] += v[e];
  }
#pragma unroll
  for (int e = 0; e < Width; ++e)
    tile.sum[warp][lane][e] = sum[e];
  __syncthreads();
  if (warp > 0 || column >= cols)
    return;
#pragma unroll
  for (int e = 0; e < Width; ++e) {
    for (unsigned w = 1; w < tile_rows; ++w)
      sum[e] += tile.sum[w][lane][e];
    sums[std::size_t(part) * cols + column + e] = sum[e];
  }
}

template <int Width, class T> void sum_columns(Stream &s, float *out, const T *x, int rows, int cols) {
  const unsigned across = blocks_for(std::size_t(cols), 32 * Width);
  const unsigned parts = std::min(std::max(1u, 1024u / across), blocks_for(std::size_t(rows), 8 * tile_rows));
  auto *sums = scratch<float>(s, std::size_t(parts) * cols);
  launch(column_sums_kernel<Width, T>, dim3(across, parts), threads, sizeof(ColumnTile<Width>), s, sums, x, rows,
         int(blocks_for(std::size_t(rows), parts)), cols);
  add_partials(s, out, sums, int(parts), std::size_t(cols));
}

template <class T> void sum_channels(Stream &s, float *out, const T *x, int batch, int channels, int length) {
  if (length > 1)
    launch(channel_sum_kernel<T>, unsigned(channels), threads, sizeof(Partials), s, out, x, batch, channels, length);
  else if (channels % 4 == 0 && aligned16(x))
    sum_columns<4>(s, out, x, batch, channels);
  else
    sum_columns<1>(s, out, x, batch, channels);
}

} // namespace

void row_sum(Stream &s, float *out, const float *x, int rows, std::size_t cols, double scale) {
  launch(row_sum_kernel, unsigned(rows), threads, sizeof(Partials), s, out, x, cols, scale);
}

void row_max_abs(Stream &s, float *out, const float *x, int rows, std::size_t cols) {
  launch(row_max_abs_kernel, unsigned(rows), threads, sizeof(Partials), s, out, x, cols);
}

void channel_sum(Stream &s, float *out, const float *x, int batch, int channels, int length) {
  sum_channels(s, out, x, batch, channels, length);
}
void channel_sum(Stream &s, float *out, const bf16 *x, int batch, int channels, int length) {
  sum_channels(s, out, x, batch, channels, length);
}

void global_norm(Stream &s, float *out, const float *x, std::size_t n, float *workspace) {
  sum_in_stretches(
      s, out, n, workspace, [=] __device__(std::size_t i) { return x[i] * x[i]; },
      [] __device__(float sum) { return sqrtf(sum); });
}

void mean_squared_error(Stream &s, float *loss, float *dy, const float *y, const float *target, std::size_t n,
                        float *workspace) {
  const float scale = 1 / float(n);
  sum_in_stretches(
      s, loss, n, workspace,
      [=] __device__(std::size_t i) {
        const float difference = y[i] - target[i];
        if (dy)
          dy[i] = 2 * scale * difference;
        return difference * difference;
      },
      [=] __device__(float sum) { return scale * sum; });
}

} // namespace theta::cuda
