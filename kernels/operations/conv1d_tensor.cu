// Convolutions on tensor cores: fp32 tensors in memory, operands rounded to bf16 on their way into shared memory, sums
// in fp32 (mma.sync m16n8k16).
//
// Gathering (forward and backward to the data): a block of the product is 64 or 128 output channels by 128 positions of
// one sample, made in steps of 32 input channels and one tap. The input tile (channels of all positions that the taps
// reach) is loaded once for all taps and lies with its channels together, so that a tap is a shift by whole rows; while
// one is used, the next is fetched, a slice a step. The weights, packed to bf16 beforehand, stream through four stages
// of asynchronous copies. Per step and warp: 32 products of 16x8x16 for 12 loads of fragments.
//
// Gradient of the weights: a block makes 64 output by 32 input channels for all 7 taps (112 sums a thread), walking
// over 64 positions at a time; positions are split among blocks, whose partial sums are added up by a second launch.
#include "conv1d_gather.h"
#include "kernels/parts/async.cuh"
#include "kernels/parts/each.cuh"
#include "kernels/parts/mma.cuh"
#include "kernels/parts/partials.cuh"
#include <algorithm>

namespace theta::cuda {

namespace {

constexpr int channels = 32;         // input channels a step
constexpr int pitch = channels + 8;  // elements between rows of shared memory: eight rows fall on all 32 banks
constexpr int positions = 128;       // of a gathering tile
constexpr int stages = 4, taps7 = 7; // of weights; of a convolution's kernel

__host__ __device__ constexpr int divided_up(int n, int by) { return (n + by - 1) / by; }

// Rows of the input that `count` positions reach. Rows are kept apart by their remainder, so that the rows of one tap
// are neighbours whatever the step between positions.
template <int Step> struct InputTile {
  static constexpr int rows_of(int count) { return (count - 1) * Step + taps7; }
  static constexpr int slots_of(int count) { return divided_up(rows_of(count), Step) * Step; }
  template <int Count> __device__ static int slot(int row) {
    return row % Step * (slots_of(Count) / Step) + row / Step;
  }
};

// Where a thread loads: one pair of channels, and every rows_apart-th row from its first one on. Neighbouring lanes
// take 8 rows of 4 pairs, which are whole sectors of global memory and different banks of shared memory.
template <int Threads> struct Place {
  static constexpr int rows_apart = Threads / 16;
  int pair, row;
  __device__ explicit Place(int thread) : pair(thread >> 3 & 15), row((thread & 7) | thread >> 7 << 3) {}
};

// Two channels of position `at` of a sample as bf16, zero outside: `from` is position 0 of the first channel.
__device__ inline std::uint32_t fetch(const float *from, bool first, bool second, int at, int length) {
  const bool inside = at >= 0 && at < length;
  return pack_bf16(inside && first ? from[at] : 0.0f, inside && second ? from[length + at] : 0.0f);
}

template <int Outputs, int Step> struct GatherTiles {
  bf16 w[stages][Outputs][pitch];
  bf16 x[2][InputTile<Step>::slots_of(positions)][pitch];
};

// Packed weights in the order of their use: [block of 32 input channels][tap][outputs rounded up][32].
struct Packed {
  int blocks, outputs; // blocks of input channels; outputs rounded up to whole tiles
  std::size_t size(int taps) const { return std::size_t(blocks) * taps * outputs * channels; }
};

template <int Outputs, int Step>
__global__ void __launch_bounds__(Outputs * 2) gather_kernel(Gather g, const bf16 *w, Packed packed) {
  constexpr int threads = Outputs * 2, most_fetches = 6;
  using Input = InputTile<Step>;
  auto &tiles = shared<GatherTiles<Outputs, Step>>();
  const int thread = int(threadIdx.x), lane = thread % 32, warp = thread / 32;
  const int first_position = int(blockIdx.x) * positions, first_output = int(blockIdx.y) * Outputs;
  const int first_input = first_position * Step + g.in_first, rows = (positions - 1) * Step + g.taps;
  const Place<threads> place(thread);
  constexpr int apart = Place<threads>::rows_apart;
  const int fetches = divided_up(divided_up(rows, apart), g.taps); // a thread and step
  const int steps = packed.blocks * g.taps;
  const float *sample = g.x + (std::size_t(blockIdx.z) * g.in_channels + 2 * place.pair) * g.in_length;

  // The weights of steps 0, 1, ... lie one after another.
  const bf16 *next_weights = w + (std::size_t(first_output) * channels + thread * 8);
  int copied = 0;
  const auto copy_weights = [&] {
    if (copied < steps) {
      auto *to = &tiles.w[copied % stages][thread / 4][thread % 4 * 8];
#pragma unroll
      for (int e = 0; e < Outputs * channels / 8 / threads; ++e)
        async_copy16(to + e * (threads / 4) * pitch, next_weights + e * threads * 8);
      next_weights += std::size_t(packed.outputs) * channels;
      ++copied;
    }
    async_commit();
  };
  // Row `row` of the input tile of a block of channels: from global memory, and into shared memory.
  const auto fetch_row = [&](int block, int row) {
    const int channel = block * channels + 2 * place.pair;
    return row < rows ? fetch(sample + std::size_t(block) * channels * g.in_length, channel < g.in_channels,
                              channel + 1 < g.in_channels, first_input + row, g.in_length)
                      : 0;
  };
  const auto put_row = [&](int block, int row, std::uint32_t two) {
    if (row < rows)
      *reinterpret_cast<std::uint32_t *>(&tiles.x[block % 2][Input::template slot<positions>(row)][2 * place.pair]) =
          two;
  };

#pragma unroll
  for (int stage = 0; stage < stages - 1; ++stage)
    copy_weights();
  for (int row = place.row; row < rows; row += apart)
    put_row(0, row, fetch_row(0, row));

  float sum[4][4][4] = {};
  const int warp_output = warp / 4 * 64, warp_position = warp % 4 * 32;
  int stage = 0;
  for (int block = 0; block < packed.blocks; ++block) {
    const bool fetching = block + 1 < packed.blocks;
    int row = place.row; // of the next block's tile: each step brings in a slice of it
    for (int tap = 0; tap < g.taps; ++tap) {
      async_wait<stages - 2>();
      __syncthreads();
      copy_weights();
      std::uint32_t fetched[most_fetches];
#pragma unroll
      for (int f = 0; f < most_fetches; ++f)
        if (fetching && f < fetches)
          fetched[f] = fetch_row(block + 1, row + f * apart);

#pragma unroll
      for (int k = 0; k < channels; k += 16) {
        std::uint32_t a[4][4], b[2][4];
#pragma unroll
        for (int m = 0; m < 4; ++m)
          load_matrices(a[m], &tiles.w[stage][warp_output + m * 16 + lane % 16][k + lane / 16 * 8]);
#pragma unroll
        for (int n = 0; n < 2; ++n) {
          const int position = warp_position + n * 16 + lane / 16 * 8 + lane % 8;
          load_matrices(
              b[n], &tiles.x[block % 2][Input::template slot<positions>(position * Step + tap)][k + lane / 8 % 2 * 8]);
        }
#pragma unroll
        for (int m = 0; m < 4; ++m)
#pragma unroll
          for (int n = 0; n < 4; ++n)
            multiply_add(sum[m][n], a[m], {b[n / 2][n % 2 * 2], b[n / 2][n % 2 * 2 + 1]});
      }
#pragma unroll
      for (int f = 0; f < most_fetches; ++f)
        if (fetching && f < fetches)
          put_row(block + 1, row + f * apart, fetched[f]);
      row += fetches * apart;
      stage = (stage + 1) % stages;
    }
  }
  async_wait<0>();

  const int group = lane / 4, pair = lane % 4;
#pragma unroll
  for (int m = 0; m < 4; ++m)
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int o = first_output + warp_output + m * 16 + half * 8 + group;
      if (o >= g.out_channels)
        continue;
      float *row = g.y + (std::size_t(blockIdx.z) * g.out_channels + o) * g.out_length + g.out_first;
      const float bias = g.bias ? g.bias[o] : 0.0f;
#pragma unroll
      for (int n = 0; n < 4; ++n)
#pragma unroll
        for (int e = 0; e < 2; ++e) {
          const int j = first_position + warp_position + n * 8 + 2 * pair + e;
          if (j < g.count)
            row[std::size_t(j) * g.out_step] = sum[m][n][2 * half + e] + bias;
        }
    }
}

// --- the gradient of the weights ---

constexpr int weight_outputs = 64, weight_positions = 64, weight_threads = 128, weight_pitch = weight_positions + 8;

template <int Step> struct WeightTiles {
  bf16 dy[weight_outputs][weight_pitch];
  bf16 x[InputTile<Step>::slots_of(weight_positions)][pitch];
};

// Units of work: 64 positions of one sample.
__host__ __device__ inline int units_a_sample(int length) { return divided_up(length, weight_positions); }

template <int Step>
__global__ void __launch_bounds__(weight_threads, 3)
    weight_kernel(float *partial, const float *dy, const float *x, Conv1d p, int length, int part_units) {
  using Input = InputTile<Step>;
  auto &tiles = shared<WeightTiles<Step>>();
  const int thread = int(threadIdx.x), lane = thread % 32, warp = thread / 32;
  const int first_output = int(blockIdx.x) * weight_outputs, first_channel = int(blockIdx.y) * channels;
  const int warp_output = warp / 2 * 32, warp_channel = warp % 2 * 16;
  const int a_sample = units_a_sample(length), units = p.batch * a_sample, first_unit = int(blockIdx.z) * part_units;
  const int last_unit = first_unit + part_units < units ? first_unit + part_units : units;
  constexpr int rows = Input::rows_of(weight_positions);
  const Place<weight_threads> place(thread);
  const int channel = first_channel + 2 * place.pair;

  float sum[2][2][taps7][4] = {};
  for (int unit = first_unit; unit < last_unit; ++unit) {
    const int n = unit / a_sample, first_position = unit % a_sample * weight_positions;
    const float *d = dy + std::size_t(n) * p.out_channels * length;
    const float *sample = x + (std::size_t(n) * p.in_channels + channel) * p.in_length;
#pragma unroll 2
    for (int e = thread; e < weight_outputs * weight_positions / 2; e += weight_threads) {
      const int o = e / (weight_positions / 2), l = e % (weight_positions / 2) * 2, at = first_position + l;
      const float *from = d + std::size_t(first_output + o) * length + at;
      const bool inside = first_output + o < p.out_channels;
      *reinterpret_cast<std::uint32_t *>(&tiles.dy[o][l]) =
          pack_bf16(inside && at < length ? from[0] : 0.0f, inside && at + 1 < length ? from[1] : 0.0f);
    }
#pragma unroll 2
    for (int row = place.row; row < rows; row += Place<weight_threads>::rows_apart)
      *reinterpret_cast<std::uint32_t *>(&tiles.x[Input::template slot<weight_positions>(row)][2 * place.pair]) =
          fetch(sample, channel < p.in_channels, channel + 1 < p.in_channels, first_position * Step - p.padding + row,
                p.in_length);
    __syncthreads();
#pragma unroll
    for (int k = 0; k < weight_positions; k += 16) {
      std::uint32_t a[2][4];
#pragma unroll
      for (int m = 0; m < 2; ++m)
        load_matrices(a[m], &tiles.dy[warp_output + m * 16 + lane % 16][k + lane / 16 * 8]);
#pragma unroll
      for (int t = 0; t < taps7; ++t) {
        std::uint32_t b[4];
        const int position = k + lane / 8 % 2 * 8 + lane % 8;
        load_matrices_transposed(
            b, &tiles.x[Input::template slot<weight_positions>(position * Step + t)][warp_channel + lane / 16 * 8]);
#pragma unroll
        for (int m = 0; m < 2; ++m)
#pragma unroll
          for (int c = 0; c < 2; ++c)
            multiply_add(sum[m][c][t], a[m], {b[2 * c], b[2 * c + 1]});
      }
    }
    __syncthreads();
  }

  float *to = partial + std::size_t(blockIdx.z) * p.out_channels * p.in_channels * taps7;
#pragma unroll
  for (int m = 0; m < 2; ++m)
#pragma unroll
    for (int c = 0; c < 2; ++c)
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        const int o = first_output + warp_output + m * 16 + e / 2 * 8 + lane / 4;
        const int i = first_channel + warp_channel + c * 8 + lane % 4 * 2 + e % 2;
        if (o < p.out_channels && i < p.in_channels)
#pragma unroll
          for (int t = 0; t < taps7; ++t)
            to[(std::size_t(o) * p.in_channels + i) * taps7 + t] = sum[m][c][t][e];
      }
}

// Parts of the positions: enough for about 400 blocks, each with at least two units. A function of the shape alone.
int weight_parts(const Conv1d &p) {
  const int tiles = divided_up(p.out_channels, weight_outputs) * divided_up(p.in_channels, channels);
  const int units = p.batch * units_a_sample(p.out_length());
  return std::clamp(divided_up(400, tiles), 1, std::min(divided_up(units, 2), 65535));
}

int tile_outputs(int out_channels) { return out_channels <= 64 ? 64 : 128; }
Packed packed_for(int in_channels, int out_channels) {
  const int tile = tile_outputs(out_channels);
  return {divided_up(in_channels, channels), divided_up(out_channels, tile) * tile};
}
std::size_t packed_floats(int in_channels, int out_channels) {
  return packed_for(in_channels, out_channels).size(taps7) / 2;
}

template <int Outputs, int Step> void launch_gather(Stream &s, const Gather &g, const bf16 *w, const Packed &packed) {
  launch(gather_kernel<Outputs, Step>,
         dim3(blocks_for(std::size_t(g.count), positions), unsigned(packed.outputs / Outputs), unsigned(g.batch)),
         Outputs * 2, sizeof(GatherTiles<Outputs, Step>), s, g, w, packed);
}

} // namespace

std::size_t tensor_workspace(const Conv1d &p) {
  return std::max({std::size_t(weight_parts(p)) * p.w_size(), packed_floats(p.in_channels, p.out_channels),
                   packed_floats(p.out_channels, p.in_channels)});
}

void tensor_gather(Stream &s, const Gather &g, float *workspace) {
  const Packed packed = packed_for(g.in_channels, g.out_channels);
  auto *w = reinterpret_cast<bf16 *>(workspace);
  const Gather gather = g;
  each(s, packed.size(g.taps), [=] __device__(std::size_t at) {
    const int i = int(at % channels), o = int(at / channels % packed.outputs);
    const int block_tap = int(at / channels / packed.outputs);
    const int channel = block_tap / gather.taps * channels + i, tap = block_tap % gather.taps;
    const bool inside = o < gather.out_channels && channel < gather.in_channels;
    w[at] = to_bf16(inside ? gather.weight(o, channel, tap) : 0.0f);
  });
  if (tile_outputs(g.out_channels) == 64)
    g.in_step == 1 ? launch_gather<64, 1>(s, g, w, packed) : launch_gather<64, 2>(s, g, w, packed);
  else
    g.in_step == 1 ? launch_gather<128, 1>(s, g, w, packed) : launch_gather<128, 2>(s, g, w, packed);
}

void tensor_backward_weight(Stream &s, float *dw, const float *dy, const float *x, float *workspace, const Conv1d &p) {
  const int length = p.out_length(), units = p.batch * units_a_sample(length);
  const int part_units = divided_up(units, weight_parts(p)), parts = divided_up(units, part_units);
  const dim3 grid(blocks_for(std::size_t(p.out_channels), weight_outputs),
                  blocks_for(std::size_t(p.in_channels), channels), unsigned(parts));
  if (p.stride == 1)
    launch(weight_kernel<1>, grid, weight_threads, sizeof(WeightTiles<1>), s, workspace, dy, x, p, length, part_units);
  else
    launch(weight_kernel<2>, grid, weight_threads, sizeof(WeightTiles<2>), s, workspace, dy, x, p, length, part_units);
  add_partials(s, dw, workspace, parts, p.w_size());
}

} // namespace theta::cuda
