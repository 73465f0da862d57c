// conv2d on tensor cores: operands rounded to bf16 as they are gathered into shared memory, sums in fp32.
//
// To outputs, and to the gradient of the inputs: a block makes 64 or 128 channels of the result by 128 of its positions,
// in steps of 32 channels of the operand and one tap, so that a thread finds where its position reads once a step, and
// neighbouring lanes read neighbouring positions. While one step is multiplied the next is fetched into registers. Each
// of 8 or 16 warps has 32 by 32 of the result: per step 16 products of 16x8x16 for 8 loads of fragments; 43 or 64
// multiply-adds for each element that is gathered.
//
// Gradient of the weights: a block makes 64 by 64 channels of one tap over a stretch of positions, 32 at a time; the
// parts are added up by a second launch.
#include "conv2d_gather.h"
#include "kernels/parts/mma.cuh"
#include "kernels/parts/partials.cuh"

namespace theta::cuda {

namespace {

constexpr int depth = 32;        // of a step
constexpr int pitch = depth + 8; // elements between rows of shared memory: eight rows fall on all 32 banks
constexpr int positions = 128;   // of a block

__host__ __device__ constexpr int divided_up(int n, int by) { return (n + by - 1) / by; }

// Eight neighbours of a row of shared memory, 16 bytes at once.
__device__ inline void put_eight(bf16 *to, const float *from) {
  *reinterpret_cast<uint4 *>(to) = make_uint4(pack_bf16(from[0], from[1]), pack_bf16(from[2], from[3]),
                                              pack_bf16(from[4], from[5]), pack_bf16(from[6], from[7]));
}

// sum += A·Bᵀ of M 16-row tiles from row `row` of a and N pairs of 8-row tiles from row `column` of b, over one step.
template <int M, int N>
__device__ inline void multiply_step(float (&sum)[M][2 * N][4], const bf16 (*a)[pitch], const bf16 (*b)[pitch], int row,
                                     int column, int lane) {
#pragma unroll
  for (int k = 0; k < depth; k += 16) {
    std::uint32_t of_a[M][4], of_b[N][4];
#pragma unroll
    for (int m = 0; m < M; ++m)
      load_matrices(of_a[m], &a[row + m * 16 + lane % 16][k + lane / 16 * 8]);
#pragma unroll
    for (int n = 0; n < N; ++n)
      load_matrices(of_b[n], &b[column + n * 16 + lane / 16 * 8 + lane % 8][k + lane / 8 % 2 * 8]);
#pragma unroll
    for (int m = 0; m < M; ++m)
#pragma unroll
      for (int n = 0; n < 2 * N; ++n)
        multiply_add(sum[m][n], of_a[m], {of_b[n / 2][n % 2 * 2], of_b[n / 2][n % 2 * 2 + 1]});
  }
}

// f(row, column, value) for every sum of a warp.
template <int M, int N, class F>
__device__ inline void for_sums(const float (&sum)[M][N][4], int row, int column, int lane, F f) {
#pragma unroll
  for (int m = 0; m < M; ++m)
#pragma unroll
    for (int n = 0; n < N; ++n)
#pragma unroll
      for (int e = 0; e < 4; ++e)
        f(row + m * 16 + e / 2 * 8 + lane / 4, column + n * 8 + lane % 4 * 2 + e % 2, sum[m][n][e]);
}

template <int Rows> struct GatherTiles {
  bf16 w[2][Rows][pitch];
  bf16 x[2][positions][pitch];
};

template <int Rows> constexpr int gather_threads = Rows * 4;

// Operands as conv2d_gather.h has them.
template <int Rows, class Operands> __global__ void __launch_bounds__(gather_threads<Rows>) gather_kernel(Operands of) {
  constexpr int threads = gather_threads<Rows>, of_w = Rows * depth / threads, of_x = positions * depth / threads;
  auto &tiles = shared<GatherTiles<Rows>>();
  of.group = int(blockIdx.z);
  const int thread = int(threadIdx.x), lane = thread % 32, warp = thread / 32;
  const int first_position = int(blockIdx.x) * positions, first_row = int(blockIdx.y) * Rows;
  // A thread fetches some channels of one position, and some channels of one row of the weights.
  const int position = thread % positions, x_channel = thread / positions * of_x;
  const int row = thread / (threads / Rows), w_channel = thread % (threads / Rows) * of_w;
  const bool row_is_there = first_row + row < of.rows, position_is_there = first_position + position < of.columns;
  const auto place = of.place(position_is_there ? first_position + position : 0);
  const int taps = of.p.taps(), steps = divided_up(of.channels, depth) * taps;

  const float *const weights = of.weights(row_is_there ? first_row + row : 0);
  float w[of_w], x[of_x];
  const auto fetch = [&](int step) {
    const int channel = step / taps * depth, tap = step % taps;
    const float *from_w = weights + std::ptrdiff_t(channel + w_channel) * of.of_channel() + tap;
#pragma unroll
    for (int e = 0; e < of_w; ++e) {
      const int c = channel + w_channel + e;
      w[e] = row_is_there && c < of.channels ? from_w[std::ptrdiff_t(e) * of.of_channel()] : 0.0f;
    }
    const std::ptrdiff_t at = position_is_there ? of.source(place, tap) : -1;
    const float *from = of.planes(place, channel + x_channel) + at;
#pragma unroll
    for (int e = 0; e < of_x; ++e)
      x[e] = at >= 0 && channel + x_channel + e < of.channels ? from[e * of.of_plane()] : 0.0f;
  };
  const auto put = [&](int buffer) {
#pragma unroll
    for (int e = 0; e < of_w; e += 8)
      put_eight(&tiles.w[buffer][row][w_channel + e], w + e);
#pragma unroll
    for (int e = 0; e < of_x; e += 8)
      put_eight(&tiles.x[buffer][position][x_channel + e], x + e);
  };

  fetch(0);
  put(0);
  __syncthreads();
  float sum[2][4][4] = {};
  const int warp_row = warp / 4 * 32, warp_position = warp % 4 * 32;
  for (int step = 0; step < steps; ++step) {
    if (step + 1 < steps)
      fetch(step + 1);
    multiply_step<2, 2>(sum, tiles.w[step % 2], tiles.x[step % 2], warp_row, warp_position, lane);
    if (step + 1 < steps)
      put((step + 1) % 2);
    __syncthreads();
  }
  for_sums(sum, first_row + warp_row, first_position + warp_position, lane, [&](int o, int j, float value) {
    if (o < of.rows && j < of.columns)
      of.store(o, j, value);
  });
}

template <class Operands> void launch_gather(Stream &s, const Operands &of) {
  const auto run = [&]<int Rows>() {
    launch(
        gather_kernel<Rows, Operands>,
        dim3(unsigned(divided_up(of.columns, positions)), unsigned(divided_up(of.rows, Rows)), unsigned(of.p.groups)),
        gather_threads<Rows>, sizeof(GatherTiles<Rows>), s, of);
  };
  of.rows <= 64 ? run.template operator()<64>() : run.template operator()<128>();
}

// --- the gradient of the weights ---

constexpr int side = 64; // channels of the result and of the input, of a block
constexpr int weight_threads = 256;

struct WeightTiles {
  bf16 dy[2][side][pitch];
  bf16 x[2][side][pitch];
};

__global__ void __launch_bounds__(weight_threads)
    weight_kernel(float *partial, const float *dy, const float *x, Conv2d p, int height, int width, int part_steps) {
  constexpr int each = side * depth / weight_threads; // neighbouring positions of a channel that a thread fetches
  auto &tiles = shared<WeightTiles>();
  const int thread = int(threadIdx.x), lane = thread % 32, warp = thread / 32;
  const int across = divided_up(p.in_group(), side), taps = p.taps();
  const int first_output = int(blockIdx.x) / across * side, first_channel = int(blockIdx.x) % across * side;
  const int group = int(blockIdx.z) / taps, tap = int(blockIdx.z) % taps;
  const int of_image = height * width, all = p.batch * of_image;
  const int steps = divided_up(all, depth), first_step = int(blockIdx.y) * part_steps;
  const int last_step = first_step + part_steps < steps ? first_step + part_steps : steps;
  const int line = thread / (depth / each), offset = thread % (depth / each) * each;
  const int output = first_output + line, channel = first_channel + line;
  const std::size_t dy_plane = std::size_t(group) * p.out_group() + output,
                    x_plane = std::size_t(group) * p.in_group() + channel;

  float d[each], v[each];
  const auto fetch = [&](int step) {
    int j = step * depth + offset, n = j / of_image, at = j % of_image, row = at / width, column = at % width;
#pragma unroll
    for (int e = 0; e < each; ++e, ++j) {
      const bool inside = j < all;
      d[e] = inside && output < p.out_group() ? dy[(std::size_t(n) * p.out_channels + dy_plane) * of_image + at] : 0.0f;
      const int from_row = seen(row, tap / p.kernel, p.stride, p.above(), p.in_height),
                from_column = seen(column, tap % p.kernel, p.stride, p.padding, p.in_width);
      v[e] = inside && channel < p.in_group() && from_row >= 0 && from_column >= 0
                 ? x[((std::size_t(n) * p.in_channels + x_plane) * p.in_height + from_row) * p.in_width + from_column]
                 : 0.0f;
      if (++at, ++column == width)
        column = 0, ++row;
      if (at == of_image)
        at = 0, row = 0, ++n;
    }
  };
  const auto put = [&](int buffer) {
    put_eight(&tiles.dy[buffer][line][offset], d);
    put_eight(&tiles.x[buffer][line][offset], v);
  };

  float sum[2][2][4] = {};
  const int warp_output = warp / 4 * 32, warp_channel = warp % 4 * 16;
  if (first_step < last_step) {
    fetch(first_step);
    put(0);
  }
  __syncthreads();
  for (int step = first_step; step < last_step; ++step) {
    const int buffer = (step - first_step) % 2;
    if (step + 1 < last_step)
      fetch(step + 1);
    multiply_step<2, 1>(sum, tiles.dy[buffer], tiles.x[buffer], warp_output, warp_channel, lane);
    if (step + 1 < last_step)
      put(1 - buffer);
    __syncthreads();
  }
  float *to = partial + std::size_t(blockIdx.y) * p.w_size();
  for_sums(sum, warp_output, warp_channel, lane, [&](int o, int c, float value) {
    if (first_output + o < p.out_group() && first_channel + c < p.in_group())
      to[((std::size_t(group) * p.out_group() + first_output + o) * p.in_group() + first_channel + c) * taps + tap] =
          value;
  });
}

} // namespace

bool tensor_can(const Conv2d &p) {
  return p.arithmetic == Arithmetic::bf16 && p.in_group() >= least_channels && p.out_group() >= least_channels;
}

void tensor_forward(Stream &s, const ForwardOperands &of) { launch_gather(s, of); }
void tensor_backward_data(Stream &s, const DataOperands &of) { launch_gather(s, of); }

void tensor_backward_weight(Stream &s, float *dw, const float *dy, const float *x, float *workspace, const Conv2d &p) {
  const int height = p.out_height(), width = p.out_width(), steps = divided_up(p.batch * height * width, depth);
  const int part_steps = divided_up(steps, std::min(steps, conv2d_parts(p))), parts = divided_up(steps, part_steps);
  launch(weight_kernel,
         dim3(unsigned(divided_up(p.out_group(), side) * divided_up(p.in_group(), side)), unsigned(parts),
              unsigned(p.groups * p.taps())),
         weight_threads, sizeof(WeightTiles), s, workspace, dy, x, p, height, width, part_steps);
  add_partials(s, dw, workspace, parts, p.w_size());
}

} // namespace theta::cuda
