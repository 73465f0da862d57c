#include "batchnorm.h"
#include "kernels/parts/each.cuh"
#include "kernels/parts/vectors.cuh"
#include "kernels/parts/warp.cuh"

namespace theta::cuda {

namespace {

// A channel with at most `resident` elements is read once and kept in the registers of one block. A longer one is
// summed by up to most_parts blocks, one launch adds up their partial sums, and a last one writes: one more read of
// the input, for a grid that fills the device.
constexpr unsigned threads = 512;
constexpr int kept = 16;
constexpr unsigned resident = threads * kept, stretch = 8192, most_parts = 64;

struct Partials {
  float first[32], second[32];
};

// Where the elements of a channel lie: e = 0..batch·length−1.
struct Channel {
  unsigned c, channels, length;
  __device__ std::size_t operator()(unsigned e) const {
    const unsigned sample = e / length;
    return (std::size_t(sample) * channels + c) * length + (e - sample * length);
  }
};
__device__ inline Channel channel_of(const BatchNorm &p) {
  return {blockIdx.x, unsigned(p.channels), unsigned(p.length)};
}

// y = scale·x + shift: written one way, so that the same statistics give the same bits everywhere.
struct Affine {
  float scale, shift;
  __device__ float operator()(float x) const { return fmaf(x, scale, shift); }
};
__device__ inline Affine affine_of(float mean, float rstd, float gamma, float beta) {
  const float scale = gamma * rstd;
  return {scale, fmaf(-mean, scale, beta)};
}
__device__ inline float rstd_of(float squares, unsigned n, const BatchNorm &p) {
  return 1 / sqrtf(squares / float(n) + float(p.eps));
}

struct Moments {
  float mean, squares; // Σ (x − mean)²
};

__device__ inline void save_statistics(const Moments &of, unsigned c, unsigned n, float *mean, float *rstd,
                                       float *running_mean, float *running_var, const BatchNorm &p) {
  mean[c] = of.mean, rstd[c] = rstd_of(of.squares, n, p);
  running_mean[c] += float(p.momentum) * (of.mean - running_mean[c]);
  running_var[c] += float(p.momentum) * (of.squares / (float(n) - 1) - running_var[c]);
}

__global__ void __launch_bounds__(threads, 2)
    resident_forward_kernel(float *y, float *mean, float *rstd, float *running_mean, float *running_var, const float *x,
                            const float *gamma, const float *beta, BatchNorm p) {
  auto &partials = shared<Partials>();
  const Channel at = channel_of(p);
  const unsigned n = unsigned(p.batch) * unsigned(p.length);
  float v[kept], sum = 0, squares = 0;
#pragma unroll
  for (int i = 0; i < kept; ++i) {
    const unsigned e = threadIdx.x + unsigned(i) * threads;
    v[i] = e < n ? x[at(e)] : 0.0f;
    sum += v[i];
  }
  const float m = block_reduce<Sum>(sum, partials.first) / float(n);
#pragma unroll
  for (int i = 0; i < kept; ++i)
    squares += threadIdx.x + unsigned(i) * threads < n ? (v[i] - m) * (v[i] - m) : 0.0f;
  squares = block_reduce<Sum>(squares, partials.second);
  const Affine affine = affine_of(m, rstd_of(squares, n, p), gamma[at.c], beta[at.c]);
#pragma unroll
  for (int i = 0; i < kept; ++i) {
    const unsigned e = threadIdx.x + unsigned(i) * threads;
    if (e < n)
      y[at(e)] = activate(p.act, affine(v[i]));
  }
  if (threadIdx.x == 0)
    save_statistics({m, squares}, at.c, n, mean, rstd, running_mean, running_var, p);
}

__global__ void __launch_bounds__(threads, 2)
    resident_backward_kernel(float *dx, float *dgamma, float *dbeta, const float *dy, const float *x, const float *mean,
                             const float *rstd, const float *gamma, const float *beta, BatchNorm p) {
  auto &partials = shared<Partials>();
  const Channel at = channel_of(p);
  const unsigned n = unsigned(p.batch) * unsigned(p.length);
  const float m = mean[at.c], r = rstd[at.c], g = gamma[at.c], b = beta[at.c];
  float normalised[kept], d[kept], sum = 0, sum_normalised = 0;
#pragma unroll
  for (int i = 0; i < kept; ++i) {
    const unsigned e = threadIdx.x + unsigned(i) * threads;
    normalised[i] = 0, d[i] = 0;
    if (e < n) {
      const std::size_t here = at(e);
      normalised[i] = (x[here] - m) * r;
      d[i] = dy[here] * activation_slope(p.act, g * normalised[i] + b);
    }
    sum += d[i], sum_normalised = fmaf(d[i], normalised[i], sum_normalised);
  }
  sum = block_reduce<Sum>(sum, partials.first);
  sum_normalised = block_reduce<Sum>(sum_normalised, partials.second);
  const float average = sum / float(n), average_normalised = sum_normalised / float(n);
#pragma unroll
  for (int i = 0; i < kept; ++i) {
    const unsigned e = threadIdx.x + unsigned(i) * threads;
    if (e < n)
      dx[at(e)] = g * r * (d[i] - average - normalised[i] * average_normalised);
  }
  if (threadIdx.x == 0)
    dbeta[at.c] += sum, dgamma[at.c] += sum_normalised;
}

// The part of a channel's elements that blockIdx.y of gridDim.y blocks walks, Width neighbours a thread and step.
template <int Width, class F> __device__ inline void walk_part(unsigned n, F f) {
  const unsigned step = (n / Width + gridDim.y - 1) / gridDim.y * Width, first = blockIdx.y * step;
  const unsigned last = first + step < n ? first + step : n;
  for (unsigned e = first + threadIdx.x * Width; e < last; e += threads * Width)
    f(e);
}

// y = act(affine(x)) over this block's part of the channel.
template <int Width, class X>
__device__ inline void write_part(float *y, const X *x, const Channel &at, const Affine &affine, const BatchNorm &p) {
  walk_part<Width>(unsigned(p.batch) * unsigned(p.length), [&](unsigned e) {
    const std::size_t here = at(e);
    float v[Width];
    load<Width>(v, x + here);
#pragma unroll
    for (int i = 0; i < Width; ++i)
      v[i] = activate(p.act, affine(v[i]));
    store<Width>(y + here, v);
  });
}

// partial[c][part] = (Σ (x − x0), Σ (x − x0)²): about the channel's first element, so that little cancels.
template <int Width>
__global__ void __launch_bounds__(threads, 2) sums_kernel(float2 *partial, const float *x, BatchNorm p) {
  auto &partials = shared<Partials>();
  const Channel at = channel_of(p);
  const float origin = x[at(0)];
  float sum = 0, squares = 0;
  walk_part<Width>(unsigned(p.batch) * unsigned(p.length), [&](unsigned e) {
    float v[Width];
    load<Width>(v, x + at(e));
#pragma unroll
    for (int i = 0; i < Width; ++i)
      sum += v[i] - origin, squares = fmaf((v[i] - origin), (v[i] - origin), squares);
  });
  sum = block_reduce<Sum>(sum, partials.first);
  squares = block_reduce<Sum>(squares, partials.second);
  if (threadIdx.x == 0)
    partial[at.c * gridDim.y + blockIdx.y] = make_float2(sum, squares);
}

__device__ inline float2 sum_of(const float2 *partial, unsigned c, unsigned parts) {
  double first = 0, second = 0;
  for (unsigned part = 0; part < parts; ++part)
    first += partial[c * parts + part].x, second += partial[c * parts + part].y;
  return make_float2(float(first), float(second));
}

// Joins the moments of a piece, from its partial sums about its first elements, to those of `seen` elements before it.
struct JoinMoments {
  float2 *moments;
  const float2 *partial;
  const float *x;
  unsigned parts;
  double seen;
  BatchNorm p;

  __device__ void operator()(std::size_t c) const {
    double sum = 0, squares = 0;
    for (unsigned part = 0; part < parts; ++part) {
      const float2 of = partial[c * parts + part];
      sum += of.x, squares += of.y;
    }
    const double n = double(p.batch) * p.length, before = seen, all = before + n;
    const double mean = x[c * std::size_t(p.length)] + sum / n;
    squares -= sum * sum / n;
    if (seen == 0) {
      moments[c] = make_float2(float(mean), float(squares));
    } else {
      const float2 earlier = moments[c];
      const double apart = mean - earlier.x;
      moments[c] = make_float2(float(earlier.x + apart * n / all),
                               float(earlier.y + squares + apart * apart * before * n / all));
    }
  }
};

// With given statistics: `spread` is a variance or already its rstd.
template <int Width, bool Variance, class X>
__global__ void __launch_bounds__(threads, 2) apply_kernel(float *y, const X *x, const float *mean, const float *spread,
                                                           const float *gamma, const float *beta, BatchNorm p) {
  const Channel at = channel_of(p);
  const float rstd = Variance ? 1 / sqrtf(spread[at.c] + float(p.eps)) : spread[at.c];
  const Affine affine = affine_of(mean[at.c], rstd, gamma[at.c], beta[at.c]);
  write_part<Width>(y, x, at, affine, p);
}

// partial[c][part] = (Σ g, Σ g·x̂) with g = dy·act'.
template <int Width, class X>
__global__ void __launch_bounds__(threads, 2)
    gradient_sums_kernel(float2 *partial, const float *dy, const X *x, const float *mean, const float *rstd,
                         const float *gamma, const float *beta, BatchNorm p) {
  auto &partials = shared<Partials>();
  const Channel at = channel_of(p);
  const float m = mean[at.c], r = rstd[at.c], g = gamma[at.c], b = beta[at.c];
  float sum = 0, sum_normalised = 0;
  walk_part<Width>(unsigned(p.batch) * unsigned(p.length), [&](unsigned e) {
    const std::size_t here = at(e);
    float v[Width], d[Width];
    load<Width>(v, x + here);
    load<Width>(d, dy + here);
#pragma unroll
    for (int i = 0; i < Width; ++i) {
      v[i] = (v[i] - m) * r;
      d[i] *= activation_slope(p.act, g * v[i] + b);
      sum += d[i], sum_normalised = fmaf(d[i], v[i], sum_normalised);
    }
  });
  sum = block_reduce<Sum>(sum, partials.first);
  sum_normalised = block_reduce<Sum>(sum_normalised, partials.second);
  if (threadIdx.x == 0)
    partial[at.c * gridDim.y + blockIdx.y] = make_float2(sum, sum_normalised);
}

struct AddGradientSums {
  float2 *sums;
  float *dgamma, *dbeta;
  const float2 *partial;
  unsigned parts;
  __device__ void operator()(std::size_t c) const {
    const float2 of = sum_of(partial, unsigned(c), parts);
    sums[c].x += of.x, sums[c].y += of.y;
    dbeta[c] += of.x, dgamma[c] += of.y;
  }
};

// n: elements of a channel in the whole batch.
template <int Width, class X>
__global__ void __launch_bounds__(threads, 2)
    gradient_kernel(float *dx, const float2 *sums, const float *dy, const X *x, const float *mean, const float *rstd,
                    const float *gamma, const float *beta, BatchNorm p, float n) {
  const Channel at = channel_of(p);
  const float m = mean[at.c], r = rstd[at.c], g = gamma[at.c], b = beta[at.c];
  const float average = sums[at.c].x / n, average_normalised = sums[at.c].y / n;
  walk_part<Width>(unsigned(p.batch) * unsigned(p.length), [&](unsigned e) {
    const std::size_t here = at(e);
    float v[Width], d[Width];
    load<Width>(v, x + here);
    load<Width>(d, dy + here);
#pragma unroll
    for (int i = 0; i < Width; ++i) {
      v[i] = (v[i] - m) * r;
      d[i] = g * r * (d[i] * activation_slope(p.act, g * v[i] + b) - average - v[i] * average_normalised);
    }
    store<Width>(dx + here, d);
  });
}

// The grids of the two launches for a long channel.
struct Grids {
  unsigned parts;
  dim3 sums, write;
};
Grids grids_for(const BatchNorm &p) {
  const unsigned blocks = blocks_for(std::size_t(p.batch) * p.length, stretch), c = unsigned(p.channels);
  const unsigned parts = std::min(blocks, most_parts);
  return {parts, dim3(c, parts), dim3(c, std::min(blocks, 65535u))};
}

// Calls f.template operator()<Width>(): four neighbours at a time where rows and pointers allow it.
template <class F, class... P> void with_width(const BatchNorm &p, F f, const P *...pointers) {
  p.length % 4 == 0 && aligned16(pointers...) ? f.template operator()<4>() : f.template operator()<1>();
}

template <bool Variance, class X>
void apply(Stream &s, float *y, const X *x, const float *mean, const float *spread, const float *gamma,
           const float *beta, const BatchNorm &p) {
  with_width(
      p,
      [&]<int Width>() {
        launch(apply_kernel<Width, Variance, X>, grids_for(p).write, threads, 0, s, y, x, mean, spread, gamma, beta, p);
      },
      y, x);
}

bool is_resident(const BatchNorm &p) { return std::size_t(p.batch) * p.length <= resident; }

float2 *pairs(float *of) { return reinterpret_cast<float2 *>(of); }
const float2 *pairs(const float *of) { return reinterpret_cast<const float2 *>(of); }

} // namespace

void batchnorm_add_moments(Stream &s, float *moments, const float *x, double seen, const BatchNorm &p) {
  const Grids grids = grids_for(p);
  auto *partial = scratch<float2>(s, std::size_t(p.channels) * grids.parts);
  with_width(
      p, [&]<int Width>() { launch(sums_kernel<Width>, grids.sums, threads, sizeof(Partials), s, partial, x, p); }, x);
  each(s, std::size_t(p.channels), JoinMoments{pairs(moments), partial, x, grids.parts, seen, p});
}

void batchnorm_settle(Stream &s, float *mean, float *rstd, float *running_mean, float *running_var,
                      const float *moments, const BatchNorm &p) {
  const unsigned n = unsigned(p.batch) * unsigned(p.length);
  each(s, std::size_t(p.channels), [=] __device__(std::size_t c) {
    save_statistics({moments[2 * c], moments[2 * c + 1]}, unsigned(c), n, mean, rstd, running_mean, running_var, p);
  });
}

template <class X>
void batchnorm_again(Stream &s, float *y, const X *x, const float *mean, const float *rstd, const float *gamma,
                     const float *beta, const BatchNorm &p) {
  apply<false>(s, y, x, mean, rstd, gamma, beta, p);
}

void batchnorm_infer(Stream &s, float *y, const float *x, const float *running_mean, const float *running_var,
                     const float *gamma, const float *beta, const BatchNorm &p) {
  apply<true>(s, y, x, running_mean, running_var, gamma, beta, p);
}

void batchnorm_infer_backward(Stream &s, float *dx, const float *dy, const float *x, const float *running_mean,
                              const float *running_var, const float *gamma, const float *beta, const BatchNorm &of) {
  const BatchNorm p = of;
  each(s, std::size_t(p.batch) * p.channels * p.length, [=] __device__(std::size_t i) {
    const std::size_t c = i / p.length % p.channels;
    const Affine affine = affine_of(running_mean[c], 1 / sqrtf(running_var[c] + float(p.eps)), gamma[c], beta[c]);
    dx[i] = affine.scale * dy[i] * activation_slope(p.act, affine(x[i]));
  });
}

template <class X>
void batchnorm_gradient_sums(Stream &s, float *sums, float *dgamma, float *dbeta, const float *dy, const X *x,
                             const float *mean, const float *rstd, const float *gamma, const float *beta,
                             const BatchNorm &p) {
  const Grids grids = grids_for(p);
  auto *partial = scratch<float2>(s, std::size_t(p.channels) * grids.parts);
  with_width(
      p,
      [&]<int Width>() {
        launch(gradient_sums_kernel<Width, X>, grids.sums, threads, sizeof(Partials), s, partial, dy, x, mean, rstd,
               gamma, beta, p);
      },
      dy, x);
  each(s, std::size_t(p.channels), AddGradientSums{pairs(sums), dgamma, dbeta, partial, grids.parts});
}

template <class X>
void batchnorm_gradient(Stream &s, float *dx, const float *sums, const float *dy, const X *x, const float *mean,
                        const float *rstd, const float *gamma, const float *beta, const BatchNorm &p, double count) {
  with_width(
      p,
      [&]<int Width>() {
        launch(gradient_kernel<Width, X>, grids_for(p).write, threads, 0, s, dx, pairs(sums), dy, x, mean, rstd, gamma,
               beta, p, float(count));
      },
      dx, dy, x);
}

// A long channel's moments and sums stand behind the partial sums in the stream's scratch memory.
void batchnorm_forward(Stream &s, float *y, float *mean, float *rstd, float *running_mean, float *running_var,
                       const float *x, const float *gamma, const float *beta, const BatchNorm &p) {
  if (is_resident(p)) {
    launch(resident_forward_kernel, unsigned(p.channels), threads, sizeof(Partials), s, y, mean, rstd, running_mean,
           running_var, x, gamma, beta, p);
    return;
  }
  float *moments = scratch<float>(s, (std::size_t(most_parts) + 1) * 2 * p.channels) + 2 * most_parts * p.channels;
  batchnorm_add_moments(s, moments, x, 0, p);
  batchnorm_settle(s, mean, rstd, running_mean, running_var, moments, p);
  batchnorm_again(s, y, x, mean, rstd, gamma, beta, p);
}

void batchnorm_backward(Stream &s, float *dx, float *dgamma, float *dbeta, const float *dy, const float *x,
                        const float *mean, const float *rstd, const float *gamma, const float *beta,
                        const BatchNorm &p) {
  if (is_resident(p)) {
    launch(resident_backward_kernel, unsigned(p.channels), threads, sizeof(Partials), s, dx, dgamma, dbeta, dy, x, mean,
           rstd, gamma, beta, p);
    return;
  }
  float *sums = scratch<float>(s, (std::size_t(most_parts) + 1) * 2 * p.channels) + 2 * most_parts * p.channels;
  fill_zero(s, sums, std::size_t(2 * p.channels) * sizeof(float));
  batchnorm_gradient_sums(s, sums, dgamma, dbeta, dy, x, mean, rstd, gamma, beta, p);
  batchnorm_gradient(s, dx, sums, dy, x, mean, rstd, gamma, beta, p, double(p.batch) * p.length);
}

#define THETA_INSTANTIATE(X)                                                                                           \
  template void batchnorm_again(Stream &, float *, const X *, const float *, const float *, const float *,             \
                                const float *, const BatchNorm &);                                                     \
  template void batchnorm_gradient_sums(Stream &, float *, float *, float *, const float *, const X *, const float *,  \
                                        const float *, const float *, const float *, const BatchNorm &);               \
  template void batchnorm_gradient(Stream &, float *, const float *, const float *, const X *, const float *,          \
                                   const float *, const float *, const float *, const BatchNorm &, double);
THETA_INSTANTIATE(float)
THETA_INSTANTIATE(bf16)

} // namespace theta::cuda
