#include "kernels/parts/partials.cuh"
#include "kernels/parts/vectors.cuh"
#include "kernels/parts/warp.cuh"
#include "layernorm.h"

namespace theta::cuda {

namespace {

// A row is held by `Team` threads (a warp, or a block of 256), each with Count vectors of Width neighbouring elements
// in registers: element (v, i) of thread t is column (v·Team + t)·Width + i.
constexpr int threads = 256, warps = threads / 32;
constexpr int most_blocks = 512; // of a backward: each leaves one row of partial sums

struct Partials {
  float first[32], second[32];
};

template <int Team> __device__ inline float team_sum(float value, float *partial) {
  if constexpr (Team == 32)
    return warp_reduce<Sum>(value);
  else
    return block_reduce<Sum>(value, partial);
}

template <int Team> __device__ inline int team_thread() { return int(threadIdx.x) % Team; }
template <int Team> __device__ inline int first_row() {
  return int(blockIdx.x) * (threads / Team) + int(threadIdx.x) / Team;
}

template <class T, int Team, int Width, int Count>
__global__ void __launch_bounds__(threads)
    forward_kernel(T *y, float *mean, float *rstd, const T *x, const float *gamma, const float *beta, int rows,
                   int cols, float eps) {
  auto &partials = shared<Partials>();
  const int row = first_row<Team>(), t = team_thread<Team>();
  if (row >= rows)
    return; // the whole team
  const T *from = x + std::size_t(row) * cols;
  float v[Count][Width], sum = 0, squares = 0;
#pragma unroll
  for (int k = 0; k < Count; ++k) {
    const int column = (k * Team + t) * Width;
#pragma unroll
    for (int i = 0; i < Width; ++i)
      v[k][i] = 0;
    if (column < cols)
      load<Width>(v[k], from + column);
#pragma unroll
    for (int i = 0; i < Width; ++i)
      sum += v[k][i];
  }
  const float m = team_sum<Team>(sum, partials.first) / float(cols);
#pragma unroll
  for (int k = 0; k < Count; ++k)
#pragma unroll
    for (int i = 0; i < Width; ++i)
      squares += (k * Team + t) * Width < cols ? (v[k][i] - m) * (v[k][i] - m) : 0.0f;
  const float r = 1 / sqrtf(team_sum<Team>(squares, partials.second) / float(cols) + eps);
#pragma unroll
  for (int k = 0; k < Count; ++k) {
    const int column = (k * Team + t) * Width;
    if (column < cols) {
#pragma unroll
      for (int i = 0; i < Width; ++i)
        v[k][i] = (v[k][i] - m) * r * gamma[column + i] + beta[column + i];
      store<Width>(y + std::size_t(row) * cols + column, v[k]);
    }
  }
  if (t == 0)
    mean[row] = m, rstd[row] = r;
}

// Sums of one column over the rows of a block's warps meet here, first those of dgamma, then those of dbeta.
struct ColumnSums {
  float of_warp[warps][1024];
};

template <class T, int Team, int Width, int Count>
__global__ void __launch_bounds__(threads)
    backward_kernel(T *dx, float *sums_gamma, float *sums_beta, const T *dy, const T *x, const float *mean,
                    const float *rstd, const float *gamma, int rows, int cols) {
  auto &partials = shared<Partials>();
  const int t = team_thread<Team>();
  float dgamma[Count][Width] = {}, dbeta[Count][Width] = {};
  for (int row = first_row<Team>(); row < rows; row += int(gridDim.x) * (threads / Team)) {
    const std::size_t base = std::size_t(row) * cols;
    const float m = mean[row], r = rstd[row];
    float normalised[Count][Width], g[Count][Width], sum = 0, sum_normalised = 0;
#pragma unroll
    for (int k = 0; k < Count; ++k) {
      const int column = (k * Team + t) * Width;
      if (column < cols) {
        load<Width>(normalised[k], x + base + column);
        load<Width>(g[k], dy + base + column);
      }
#pragma unroll
      for (int i = 0; i < Width; ++i) {
        if (column >= cols) {
          normalised[k][i] = 0, g[k][i] = 0;
          continue;
        }
        normalised[k][i] = (normalised[k][i] - m) * r;
        dbeta[k][i] += g[k][i], dgamma[k][i] = fmaf(g[k][i], normalised[k][i], dgamma[k][i]);
        g[k][i] *= gamma[column + i];
        sum += g[k][i], sum_normalised = fmaf(g[k][i], normalised[k][i], sum_normalised);
      }
    }
    const float average = team_sum<Team>(sum, partials.first) / float(cols);
    const float average_normalised = team_sum<Team>(sum_normalised, partials.second) / float(cols);
#pragma unroll
    for (int k = 0; k < Count; ++k) {
      const int column = (k * Team + t) * Width;
      if (column < cols) {
#pragma unroll
        for (int i = 0; i < Width; ++i)
          g[k][i] = r * (g[k][i] - average - normalised[k][i] * average_normalised);
        store<Width>(dx + base + column, g[k]);
      }
    }
  }
  const std::size_t to = std::size_t(blockIdx.x) * cols;
  if constexpr (Team == 32) {
    auto &columns = shared<ColumnSums>();
    for (int pass = 0; pass < 2; ++pass) {
#pragma unroll
      for (int k = 0; k < Count; ++k)
#pragma unroll
        for (int i = 0; i < Width; ++i)
          columns.of_warp[threadIdx.x / 32][(k * Team + t) * Width + i] = pass == 0 ? dgamma[k][i] : dbeta[k][i];
      __syncthreads();
      for (int c = int(threadIdx.x); c < cols; c += threads) {
        float sum = 0;
        for (int w = 0; w < warps; ++w)
          sum += columns.of_warp[w][c];
        (pass == 0 ? sums_gamma : sums_beta)[to + c] = sum;
      }
      __syncthreads();
    }
  } else {
#pragma unroll
    for (int k = 0; k < Count; ++k)
#pragma unroll
      for (int i = 0; i < Width; ++i) {
        const int column = (k * Team + t) * Width + i;
        if (column < cols)
          sums_gamma[to + column] = dgamma[k][i], sums_beta[to + column] = dbeta[k][i];
      }
  }
}

// Calls f<Team, Width, Count>() for the shape: vectors of eight where rows begin on 16 bytes, single elements
// elsewhere.
template <class F> void with_shape(int cols, bool vectors, F f) {
  if (cols > layernorm_most_columns)
    throw InputError("layernorm: found ", cols, " columns, expected at most ", layernorm_most_columns);
  if (cols > 1024)
    vectors ? f.template operator()<threads, 8, 4>() : f.template operator()<threads, 1, 32>();
  else if (!vectors)
    f.template operator()<32, 1, 32>();
  else if (cols <= 512)
    f.template operator()<32, 8, 2>();
  else if (cols <= 768)
    f.template operator()<32, 8, 3>();
  else
    f.template operator()<32, 8, 4>();
}

template <class T>
void forward(Stream &s, T *y, float *mean, float *rstd, const T *x, const float *gamma, const float *beta, int rows,
             int cols, double eps) {
  with_shape(cols, cols % 8 == 0 && aligned16(y, x), [&]<int Team, int Width, int Count>() {
    launch(forward_kernel<T, Team, Width, Count>, blocks_for(std::size_t(rows), threads / Team), threads,
           sizeof(Partials), s, y, mean, rstd, x, gamma, beta, rows, cols, float(eps));
  });
}

template <class T>
void backward(Stream &s, T *dx, float *dgamma, float *dbeta, const T *dy, const T *x, const float *mean,
              const float *rstd, const float *gamma, int rows, int cols) {
  with_shape(cols, cols % 8 == 0 && aligned16(dx, dy, x), [&]<int Team, int Width, int Count>() {
    const unsigned blocks = std::min(unsigned(most_blocks), blocks_for(std::size_t(rows), threads / Team));
    float *sums = scratch<float>(s, std::size_t(2) * blocks * unsigned(cols)),
          *sums_beta = sums + std::size_t(blocks) * cols;
    launch(backward_kernel<T, Team, Width, Count>, blocks, threads, Team == 32 ? sizeof(ColumnSums) : sizeof(Partials),
           s, dx, sums, sums_beta, dy, x, mean, rstd, gamma, rows, cols);
    add_partials(s, dgamma, sums, int(blocks), std::size_t(cols));
    add_partials(s, dbeta, sums_beta, int(blocks), std::size_t(cols));
  });
}

} // namespace

void layernorm_forward(Stream &s, float *y, float *mean, float *rstd, const float *x, const float *gamma,
                       const float *beta, int rows, int cols, double eps) {
  forward(s, y, mean, rstd, x, gamma, beta, rows, cols, eps);
}
void layernorm_forward(Stream &s, bf16 *y, float *mean, float *rstd, const bf16 *x, const float *gamma,
                       const float *beta, int rows, int cols, double eps) {
  forward(s, y, mean, rstd, x, gamma, beta, rows, cols, eps);
}
void layernorm_backward(Stream &s, float *dx, float *dgamma, float *dbeta, const float *dy, const float *x,
                        const float *mean, const float *rstd, const float *gamma, int rows, int cols) {
  backward(s, dx, dgamma, dbeta, dy, x, mean, rstd, gamma, rows, cols);
}
void layernorm_backward(Stream &s, bf16 *dx, float *dgamma, float *dbeta, const bf16 *dy, const bf16 *x,
                        const float *mean, const float *rstd, const float *gamma, int rows, int cols) {
  backward(s, dx, dgamma, dbeta, dy, x, mean, rstd, gamma, rows, cols);
}

} // namespace theta::cuda
