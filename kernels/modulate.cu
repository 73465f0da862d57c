#include "each.cuh"
#include "modulate.h"
#include "warp.cuh"

namespace theta::cuda {

namespace {

constexpr unsigned threads = 256, rows_a_block = threads / 32;

__global__ void forward_kernel(float *y, float *mean, float *rstd, const float *x, const float *shift,
                               const float *scale, Modulation p) {
  const int row = int(blockIdx.x * rows_a_block + threadIdx.x / 32), lane = int(threadIdx.x) % 32;
  if (row >= p.batch * p.tokens) // whole warps
    return;
  const std::size_t sample = std::size_t(row / p.tokens) * p.step, first = std::size_t(row) * p.width;
  float sum = 0, squares = 0;
  for (int c = lane; c < p.width; c += 32)
    sum += x[first + c];
  const float m = warp_reduce<Sum>(sum) / float(p.width);
  for (int c = lane; c < p.width; c += 32)
    squares += (x[first + c] - m) * (x[first + c] - m);
  const float by = 1 / sqrtf(warp_reduce<Sum>(squares) / float(p.width) + float(p.eps));
  for (int c = lane; c < p.width; c += 32)
    y[first + c] = (x[first + c] - m) * by * (1 + scale[sample + c]) + shift[sample + c];
  if (lane == 0)
    mean[row] = m, rstd[row] = by;
}

__global__ void input_kernel(float *dx, const float *dy, const float *x, const float *mean, const float *rstd,
                             const float *scale, Modulation p) {
  const int row = int(blockIdx.x * rows_a_block + threadIdx.x / 32), lane = int(threadIdx.x) % 32;
  if (row >= p.batch * p.tokens) // whole warps
    return;
  const std::size_t sample = std::size_t(row / p.tokens) * p.step, first = std::size_t(row) * p.width;
  const float m = mean[row], by = rstd[row];
  float sum = 0, sum_normalised = 0;
  for (int c = lane; c < p.width; c += 32) {
    const float g = dy[first + c] * (1 + scale[sample + c]);
    sum += g, sum_normalised += g * (x[first + c] - m) * by;
  }
  const float average = warp_reduce<Sum>(sum) / float(p.width),
              average_normalised = warp_reduce<Sum>(sum_normalised) / float(p.width);
  for (int c = lane; c < p.width; c += 32)
    dx[first + c] +=
        by * (dy[first + c] * (1 + scale[sample + c]) - average - (x[first + c] - m) * by * average_normalised);
}

struct Sums {
  float first[rows_a_block][33], second[rows_a_block][33];
};

// first[c] = Σ a(row, c), second[c] = Σ b(row, c) over a sample's tokens: a block has 32 columns of a sample, its warps
// walk down the tokens and meet in shared memory.
template <class Term> __global__ void column_sums_kernel(float *first, float *second, Modulation p, Term term) {
  auto &sums = shared<Sums>();
  const int lane = int(threadIdx.x) % 32, warp = int(threadIdx.x) / 32, column = int(blockIdx.y) * 32 + lane;
  const int sample = int(blockIdx.x);
  float2 sum = make_float2(0, 0);
  for (int t = warp; t < p.tokens && column < p.width; t += int(rows_a_block)) {
    const float2 of = term(sample * p.tokens + t, column);
    sum.x += of.x, sum.y += of.y;
  }
  sums.first[warp][lane] = sum.x, sums.second[warp][lane] = sum.y;
  __syncthreads();
  if (warp > 0 || column >= p.width)
    return;
  for (unsigned w = 1; w < rows_a_block; ++w)
    sum.x += sums.first[w][lane], sum.y += sums.second[w][lane];
  first[std::size_t(sample) * p.step + column] = sum.x;
  if (second)
    second[std::size_t(sample) * p.step + column] = sum.y;
}

template <class Term> void column_sums(Stream &s, float *first, float *second, const Modulation &p, const Term &term) {
  launch(column_sums_kernel<Term>, dim3(unsigned(p.batch), blocks_for(std::size_t(p.width), 32)), threads, sizeof(Sums),
         s, first, second, p, term);
}

} // namespace

void modulate_forward(Stream &s, float *y, float *mean, float *rstd, const float *x, const float *shift,
                      const float *scale, const Modulation &p) {
  launch(forward_kernel, blocks_for(std::size_t(p.rows()), rows_a_block), threads, 0, s, y, mean, rstd, x, shift, scale,
         p);
}

void modulate_backward_accumulate(Stream &s, float *dx, float *dshift, float *dscale, const float *dy, const float *x,
                                  const float *mean, const float *rstd, const float *scale, const Modulation &p) {
  launch(input_kernel, blocks_for(std::size_t(p.rows()), rows_a_block), threads, 0, s, dx, dy, x, mean, rstd, scale, p);
  const int width = p.width;
  column_sums(s, dshift, dscale, p, [=] __device__(int row, int c) {
    const std::size_t i = std::size_t(row) * width + c;
    return make_float2(dy[i], dy[i] * (x[i] - mean[row]) * rstd[row]);
  });
}

void gate_forward(Stream &s, float *out, const float *x, const float *y, const float *gate, const Modulation &p) {
  const std::size_t sample = std::size_t(p.tokens) * p.width, step = p.step, width = std::size_t(p.width);
  each(s, std::size_t(p.rows()) * width,
       [=] __device__(std::size_t i) { out[i] = x[i] + gate[i / sample * step + i % width] * y[i]; });
}

void gate_backward(Stream &s, float *dy, float *dgate, const float *dout, const float *y, const float *gate,
                   const Modulation &p) {
  const std::size_t sample = std::size_t(p.tokens) * p.width, step = p.step, width = std::size_t(p.width);
  column_sums(s, dgate, nullptr, p, [=] __device__(int row, int c) {
    const std::size_t i = std::size_t(row) * width + c;
    return make_float2(dout[i] * y[i], 0);
  });
  each(s, std::size_t(p.rows()) * width,
       [=] __device__(std::size_t i) { dy[i] = gate[i / sample * step + i % width] * dout[i]; });
}

} // namespace theta::cuda
