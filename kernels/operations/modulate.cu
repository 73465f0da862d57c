// Rows of tokens, Width neighbouring elements a lane. Forward, a warp has a token. Backward, a block has a stretch of
// one sample's tokens; each of its warps walks down its share and adds up columns in a row of shared memory of its own,
// and at the end the rows are added up. Where a sample's tokens are cut into several stretches, their sums meet in a
// second launch.
#include "kernels/parts/vectors.cuh"
#include "kernels/parts/warp.cuh"
#include "modulate.h"
#include <array>

namespace theta::cuda {

namespace {

constexpr unsigned threads = 256;
constexpr int warps = threads / 32;
constexpr unsigned enough_blocks = 512; // backward: more than a GPU runs at once

// A token, and where its row and its sample's numbers begin.
struct Row {
  int row;
  std::size_t first, sample;
  __device__ Row(int r, const Modulation &p)
      : row(r), first(std::size_t(r) * p.width), sample(std::size_t(r / p.tokens) * p.step) {}
};

__device__ inline int lane() { return int(threadIdx.x) % 32; }
__device__ inline int warp() { return int(threadIdx.x) / 32; }

// f(column) for the first of each Width columns that are this lane's.
template <int Width, class F> __device__ inline void columns(const Modulation &p, F f) {
#pragma unroll 2 // fourfold spills registers
  for (int c = lane() * Width; c < p.width; c += 32 * Width)
    f(c);
}

template <int Width, class T>
__global__ void __launch_bounds__(threads) modulate_kernel(T *y, float *mean, float *rstd, const float *x,
                                                           const float *shift, const float *scale, Modulation p) {
  const Row at(int(blockIdx.x) * warps + warp(), p);
  if (at.row >= p.rows()) // whole warps
    return;
  float v[Width], by_scale[Width], by_shift[Width], sum = 0, squares = 0;
  columns<Width>(p, [&](int c) {
    load<Width>(v, x + at.first + c);
#pragma unroll
    for (int e = 0; e < Width; ++e)
      sum += v[e];
  });
  const float m = warp_reduce<Sum>(sum) / float(p.width);
  columns<Width>(p, [&](int c) {
    load<Width>(v, x + at.first + c);
#pragma unroll
    for (int e = 0; e < Width; ++e)
      squares = fmaf((v[e] - m), (v[e] - m), squares);
  });
  const float by = 1 / sqrtf(warp_reduce<Sum>(squares) / float(p.width) + float(p.eps));
  columns<Width>(p, [&](int c) {
    load<Width>(v, x + at.first + c);
    load<Width>(by_scale, scale + at.sample + c);
    load<Width>(by_shift, shift + at.sample + c);
#pragma unroll
    for (int e = 0; e < Width; ++e)
      v[e] = (v[e] - m) * by * (1 + by_scale[e]) + by_shift[e];
    store<Width>(y + at.first + c, v);
  });
  if (lane() == 0)
    mean[at.row] = m, rstd[at.row] = by;
}

template <int Width, class T>
__global__ void __launch_bounds__(threads)
    gate_kernel(float *out, const float *x, const T *y, const float *gate, Modulation p) {
  const Row at(int(blockIdx.x) * warps + warp(), p);
  if (at.row >= p.rows()) // whole warps
    return;
  columns<Width>(p, [&](int c) {
    float v[Width], branch[Width], by[Width];
    load<Width>(v, x + at.first + c);
    load<Width>(branch, y + at.first + c);
    load<Width>(by, gate + at.sample + c);
#pragma unroll
    for (int e = 0; e < Width; ++e)
      v[e] += by[e] * branch[e];
    store<Width>(out + at.first + c, v);
  });
}

// Where a block's column sums go: to the sample's own, or with several stretches to partial[stretch][batch][width].
template <int Sums> struct ColumnSums { float *out[Sums], *partial[Sums]; };

// The tokens of a sample that a block has, one after the other for each warp: f(row).
template <class F> __device__ inline void for_tokens(const Modulation &p, F f) {
  const int stretch = (p.tokens + int(gridDim.y) - 1) / int(gridDim.y), first = int(blockIdx.y) * stretch;
  const int last = first + stretch < p.tokens ? first + stretch : p.tokens;
  for (int t = first + warp(); t < last; t += warps)
    f(Row(int(blockIdx.x) * p.tokens + t, p));
}

// A warp's own row of column sums, in shared memory.
__device__ inline float *sums_of(int which, int of_warp, const Modulation &p) {
  return &shared<float>() + std::size_t(which * warps + of_warp) * p.width;
}

template <int Sums, int Width> __device__ inline void clear_sums(const Modulation &p) {
  const float zero[Width] = {};
  for (int which = 0; which < Sums; ++which)
    columns<Width>(p, [&](int c) { store<Width>(sums_of(which, warp(), p) + c, zero); });
}

template <int Width> __device__ inline void add_to(float *sums, const float (&v)[Width]) {
  float before[Width];
  load<Width>(before, sums);
#pragma unroll
  for (int e = 0; e < Width; ++e)
    before[e] += v[e];
  store<Width>(sums, before);
}

template <int Sums> __device__ inline void finish_sums(const ColumnSums<Sums> &to, const Modulation &p) {
  __syncthreads();
  for (int c = int(threadIdx.x); c < p.width; c += int(threads))
    for (int which = 0; which < Sums; ++which) {
      float sum = 0;
      for (int w = 0; w < warps; ++w)
        sum += sums_of(which, w, p)[c];
      if (gridDim.y == 1)
        to.out[which][blockIdx.x * p.step + c] = sum;
      else
        to.partial[which][(std::size_t(blockIdx.y) * gridDim.x + blockIdx.x) * p.width + c] = sum;
    }
}

template <int Width, class T>
__global__ void __launch_bounds__(threads)
    modulate_backward_kernel(float *dx, ColumnSums<2> to, const T *dy, const float *x, const float *mean,
                             const float *rstd, const float *scale, Modulation p) {
  clear_sums<2, Width>(p);
  float *shift_sums = sums_of(0, warp(), p), *scale_sums = sums_of(1, warp(), p);
  for_tokens(p, [&](const Row &at) {
    const float m = mean[at.row], by = rstd[at.row];
    float d[Width], v[Width], by_scale[Width], sum = 0, sum_normalised = 0;
    columns<Width>(p, [&](int c) {
      load<Width>(d, dy + at.first + c);
      load<Width>(v, x + at.first + c);
      load<Width>(by_scale, scale + at.sample + c);
#pragma unroll
      for (int e = 0; e < Width; ++e) {
        const float g = d[e] * (1 + by_scale[e]);
        sum += g, sum_normalised += g * (v[e] - m) * by;
      }
    });
    const float average = warp_reduce<Sum>(sum) / float(p.width),
                average_normalised = warp_reduce<Sum>(sum_normalised) / float(p.width);
    columns<Width>(p, [&](int c) {
      float of[Width];
      load<Width>(d, dy + at.first + c);
      load<Width>(v, x + at.first + c);
      load<Width>(by_scale, scale + at.sample + c);
      load<Width>(of, dx + at.first + c);
#pragma unroll
      for (int e = 0; e < Width; ++e) {
        v[e] = (v[e] - m) * by;
        of[e] += by * (d[e] * (1 + by_scale[e]) - average - v[e] * average_normalised);
        v[e] *= d[e];
      }
      store<Width>(dx + at.first + c, of);
      add_to<Width>(shift_sums + c, d);
      add_to<Width>(scale_sums + c, v);
    });
  });
  finish_sums(to, p);
}

template <int Width, class T>
__global__ void __launch_bounds__(threads)
    gate_backward_kernel(T *dy, ColumnSums<1> to, const float *dout, const T *y, const float *gate, Modulation p) {
  clear_sums<1, Width>(p);
  float *gate_sums = sums_of(0, warp(), p);
  for_tokens(p, [&](const Row &at) {
    columns<Width>(p, [&](int c) {
      float d[Width], branch[Width], by[Width];
      load<Width>(d, dout + at.first + c);
      load<Width>(branch, y + at.first + c);
      load<Width>(by, gate + at.sample + c);
#pragma unroll
      for (int e = 0; e < Width; ++e)
        branch[e] *= d[e], d[e] *= by[e];
      store<Width>(dy + at.first + c, d);
      add_to<Width>(gate_sums + c, branch);
    });
  });
  finish_sums(to, p);
}

// out[sample·step + column] = Σ_stretch partial[stretch][sample][column].
__global__ void add_stretches_kernel(float *out, const float *partial, int stretches, Modulation p) {
  const std::size_t n = std::size_t(p.batch) * p.width, i = std::size_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= n)
    return;
  float sum = 0;
  for (int stretch = 0; stretch < stretches; ++stretch)
    sum += partial[stretch * n + i];
  out[i / p.width * p.step + i % p.width] = sum;
}

// Calls f(grid, shared bytes, sums), then brings stretches together.
template <int Sums, class F> void with_column_sums(Stream &s, std::array<float *, Sums> out, const Modulation &p, F f) {
  const std::size_t bytes = std::size_t(Sums) * warps * std::size_t(p.width) * sizeof(float);
  if (bytes > most_shared_bytes())
    throw InputError("modulation: found a width of ", p.width, ", expected at most ",
                     most_shared_bytes() / (Sums * warps * sizeof(float)));
  const unsigned wanted = std::max(1u, enough_blocks / unsigned(p.batch));
  const unsigned stretches = std::min(wanted, blocks_for(std::size_t(p.tokens), 2 * warps));
  const std::size_t n = std::size_t(p.batch) * std::size_t(p.width);
  float *partial = stretches > 1 ? scratch<float>(s, Sums * stretches * n) : nullptr;
  ColumnSums<Sums> to{};
  for (std::size_t which = 0; which < Sums; ++which)
    to.out[which] = out[which], to.partial[which] = partial ? partial + which * stretches * n : nullptr;
  f(dim3(unsigned(p.batch), stretches), bytes, to);
  for (int which = 0; which < Sums && stretches > 1; ++which)
    launch(add_stretches_kernel, blocks_for(n, 256), 256, 0, s, to.out[which], to.partial[which], int(stretches), p);
}

// Calls f.template operator()<Width>(): four elements at a time where rows and addresses allow it.
template <class F, class... P> void with_width(const Modulation &p, F f, const P *...pointers) {
  if (p.width % 4 == 0 && p.step % 4 == 0 && aligned16(pointers...))
    f.template operator()<4>();
  else
    f.template operator()<1>();
}

unsigned row_blocks(const Modulation &p) { return blocks_for(std::size_t(p.rows()), unsigned(warps)); }

template <class T>
void forward(Stream &s, T *y, float *mean, float *rstd, const float *x, const float *shift, const float *scale,
             const Modulation &p) {
  with_width(
      p,
      [&]<int Width>() {
        launch(modulate_kernel<Width, T>, row_blocks(p), threads, 0, s, y, mean, rstd, x, shift, scale, p);
      },
      y, x, shift, scale);
}

template <class T>
void backward(Stream &s, float *dx, float *dshift, float *dscale, const T *dy, const float *x, const float *mean,
              const float *rstd, const float *scale, const Modulation &p) {
  with_width(
      p,
      [&]<int Width>() {
        with_column_sums<2>(s, {dshift, dscale}, p, [&](dim3 grid, std::size_t bytes, const ColumnSums<2> &to) {
          launch(modulate_backward_kernel<Width, T>, grid, threads, bytes, s, dx, to, dy, x, mean, rstd, scale, p);
        });
      },
      dx, dy, x, scale);
}

template <class T>
void gate(Stream &s, float *out, const float *x, const T *y, const float *gate, const Modulation &p) {
  with_width(
      p, [&]<int Width>() { launch(gate_kernel<Width, T>, row_blocks(p), threads, 0, s, out, x, y, gate, p); }, out, x,
      y, gate);
}

template <class T>
void gate_gradient(Stream &s, T *dy, float *dgate, const float *dout, const T *y, const float *gate,
                   const Modulation &p) {
  with_width(
      p,
      [&]<int Width>() {
        with_column_sums<1>(s, {dgate}, p, [&](dim3 grid, std::size_t bytes, const ColumnSums<1> &to) {
          launch(gate_backward_kernel<Width, T>, grid, threads, bytes, s, dy, to, dout, y, gate, p);
        });
      },
      dy, dout, y, gate);
}

} // namespace

#define THETA_DEFINE(T)                                                                                                \
  void modulate_forward(Stream &s, T *y, float *mean, float *rstd, const float *x, const float *shift,                 \
                        const float *scale, const Modulation &p) {                                                     \
    forward(s, y, mean, rstd, x, shift, scale, p);                                                                     \
  }                                                                                                                    \
  void modulate_backward_accumulate(Stream &s, float *dx, float *dshift, float *dscale, const T *dy, const float *x,   \
                                    const float *mean, const float *rstd, const float *scale, const Modulation &p) {   \
    backward(s, dx, dshift, dscale, dy, x, mean, rstd, scale, p);                                                      \
  }                                                                                                                    \
  void gate_forward(Stream &s, float *out, const float *x, const T *y, const float *of, const Modulation &p) {         \
    gate(s, out, x, y, of, p);                                                                                         \
  }                                                                                                                    \
  void gate_backward(Stream &s, T *dy, float *dgate, const float *dout, const T *y, const float *of,                   \
                     const Modulation &p) {                                                                            \
    gate_gradient(s, dy, dgate, dout, y, of, p);                                                                       \
  }
THETA_DEFINE(float)
THETA_DEFINE(bf16)

} // namespace theta::cuda
