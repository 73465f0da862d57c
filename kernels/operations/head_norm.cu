#include "head_norm.h"
#include "kernels/parts/partials.cuh"
#include "kernels/parts/warp.cuh"
#include "reduce.h"

namespace theta::cuda {

namespace {

constexpr unsigned threads = 256, warps = threads / 32;
constexpr int most_head = 128, each_lane = most_head / 32; // elements of a head
constexpr unsigned most_blocks = 512;                      // of a backward: each leaves one row of partial sums

// Heads of q, k and v, warp by warp; a value's head gets its bias alone.
template <class T>
__global__ void forward_kernel(T *out, float *rstd, const T *raw, const T *bias, const T *gain, HeadNorm p) {
  const std::size_t item = std::size_t(blockIdx.x) * warps + threadIdx.x / 32;
  const int lane = int(threadIdx.x) % 32;
  if (item >= std::size_t(p.rows) * 3 * p.heads) // whole warps
    return;
  const int h = int(item % (3 * p.heads));
  const T *x = raw + item * p.head, *b = bias + h * p.head;
  float v[each_lane], squares = 0;
  for (int i = 0; i < each_lane; ++i) {
    const int c = i * 32 + lane;
    v[i] = c < p.head ? to_float(x[c]) + to_float(b[c]) : 0;
    squares = fmaf(v[i], v[i], squares);
  }
  const bool value = h >= 2 * p.heads;
  const float by = value ? 1 : 1 / sqrtf(warp_reduce<Sum>(squares) / float(p.head) + float(p.eps));
  for (int i = 0; i < each_lane; ++i)
    if (const int c = i * 32 + lane; c < p.head)
      out[item * p.head + c] = rounded<T>(v[i] * by * (value ? 1.0f : to_float(gain[(h >= p.heads) * p.head + c])));
  if (lane == 0 && !value)
    rstd[item / (3 * p.heads) * 2 * p.heads + h] = by;
}

struct GainSums {
  float of_warp[warps][most_head];
};

// blockIdx.y: 0 for queries, 1 for keys. A warp walks down the heads of all rows.
template <class T>
__global__ void backward_kernel(T *d, float *sums, const T *raw, const T *bias, const T *gain, const float *rstd,
                                HeadNorm p) {
  auto &shared_sums = shared<GainSums>();
  const int lane = int(threadIdx.x) % 32, warp = int(threadIdx.x) / 32, which = int(blockIdx.y);
  float dgain[each_lane] = {};
  const std::size_t items = std::size_t(p.rows) * p.heads;
  for (std::size_t item = std::size_t(blockIdx.x) * warps + warp; item < items;
       item += std::size_t(gridDim.x) * warps) {
    const std::size_t row = item / p.heads;
    const int h = int(item % p.heads) + which * p.heads;
    const std::size_t at = (row * 3 * p.heads + h) * p.head;
    const float by = rstd[row * 2 * p.heads + h];
    float g[each_lane], normalised[each_lane], sum = 0;
    for (int i = 0; i < each_lane; ++i) {
      const int c = i * 32 + lane;
      const bool there = c < p.head;
      const float in = there ? to_float(d[at + c]) : 0;
      normalised[i] = there ? (to_float(raw[at + c]) + to_float(bias[h * p.head + c])) * by : 0;
      dgain[i] = fmaf(in, normalised[i], dgain[i]);
      g[i] = there ? in * to_float(gain[which * p.head + c]) : 0;
      sum = fmaf(g[i], normalised[i], sum);
    }
    const float mean = warp_reduce<Sum>(sum) / float(p.head);
    for (int i = 0; i < each_lane; ++i)
      if (const int c = i * 32 + lane; c < p.head)
        d[at + c] = rounded<T>(by * (g[i] - normalised[i] * mean));
  }
  for (int i = 0; i < each_lane; ++i)
    shared_sums.of_warp[warp][i * 32 + lane] = dgain[i];
  __syncthreads();
  for (int c = int(threadIdx.x); c < p.head; c += int(threads)) {
    float sum = 0;
    for (unsigned w = 0; w < warps; ++w)
      sum += shared_sums.of_warp[w][c];
    sums[(std::size_t(blockIdx.x) * 2 + which) * p.head + c] = sum;
  }
}

void check_head(const HeadNorm &p) {
  if (p.head > most_head)
    throw InputError("head norm: found heads of ", p.head, " elements, expected at most ", most_head);
}

template <class T>
void forward(Stream &s, T *out, float *rstd, const T *raw, const T *bias, const T *gain, const HeadNorm &p) {
  check_head(p);
  launch(forward_kernel<T>, blocks_for(std::size_t(p.rows) * 3 * std::size_t(p.heads), warps), threads, 0, s, out, rstd,
         raw, bias, gain, p);
}

template <class T>
void backward(Stream &s, T *d, float *dgain, float *dbias, const T *raw, const T *bias, const T *gain,
              const float *rstd, const HeadNorm &p) {
  check_head(p);
  const unsigned blocks = std::min(most_blocks, blocks_for(std::size_t(p.rows) * std::size_t(p.heads), warps));
  const std::size_t n = 2 * std::size_t(p.head);
  auto *sums = scratch<float>(s, blocks * n);
  launch(backward_kernel<T>, dim3(blocks, 2), threads, sizeof(GainSums), s, d, sums, raw, bias, gain, rstd, p);
  add_partials(s, dgain, sums, int(blocks), n);
  theta::channel_sum<T>(s, dbias, d, p.rows, 3 * p.width(), 1);
}

} // namespace

void head_norm_forward(Stream &s, float *out, float *rstd, const float *raw, const float *bias, const float *gain,
                       const HeadNorm &p) {
  forward(s, out, rstd, raw, bias, gain, p);
}
void head_norm_forward(Stream &s, bf16 *out, float *rstd, const bf16 *raw, const bf16 *bias, const bf16 *gain,
                       const HeadNorm &p) {
  forward(s, out, rstd, raw, bias, gain, p);
}
void head_norm_backward(Stream &s, float *d, float *dgain, float *dbias, const float *raw, const float *bias,
                        const float *gain, const float *rstd, const HeadNorm &p) {
  backward(s, d, dgain, dbias, raw, bias, gain, rstd, p);
}
void head_norm_backward(Stream &s, bf16 *d, float *dgain, float *dbias, const bf16 *raw, const bf16 *bias,
                        const bf16 *gain, const float *rstd, const HeadNorm &p) {
  backward(s, d, dgain, dbias, raw, bias, gain, rstd, p);
}

} // namespace theta::cuda
