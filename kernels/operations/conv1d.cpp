// On the cpu: products in cache (product.h). A thread copies one sample with zeros around it, so that a tap is a shift
// and no input is unfolded: forward and backward to data, weights are the left operand and positions the columns;
// backward to weights, taps are the rows and output channels the columns. With bf16 products a copy holds pairs
// (pairs.h): of two channels where channels are summed over, of a position and the next backward to weights.
#include "conv1d.h"
#include "kernels/device/parallel.h"
#include "kernels/parts/product.h"
#include "kernels/parts/scratch.h"
#include <limits>

namespace theta {

namespace cuda {
decltype(theta::conv1d_forward<float>) conv1d_forward;
decltype(theta::conv1d_backward_data<float>) conv1d_backward_data;
decltype(theta::conv1d_backward_weight<float>) conv1d_backward_weight;
} // namespace cuda

namespace {

using namespace simd;

constexpr int most_channels = 64;   // of the result that share one copy of a sample
constexpr int most_positions = 256; // of a sample that the weights' gradient takes at a time

// Rounded up to whole packs, of either precision.
int whole_packs(int n) { return (n + lanes<float> - 1) / lanes<float> * lanes<float>; }
int pieces_of(int channels, int most) { return (channels + most - 1) / most; }

// Elements of a thread's copies. Rows: of one phase of an input (forward), of a gradient (backward to data), of a whole
// input (backward to weights).
int phase_row(const Conv1d &p) { return whole_packs(p.out_length()) + p.kernel; }
int gradient_row(const Conv1d &p) {
  return std::max(whole_packs((p.in_length + p.stride - 1) / p.stride) + p.padding + 2, p.out_length()) + p.kernel;
}
int input_row(const Conv1d &p) { return (p.out_length() - 1) * p.stride + p.kernel; }

// Backward to weights: input channels and, in strips, output channels are dealt out.
struct WeightPieces {
  Strips<float> strips; // of double they are as many channels
  int pieces, channels; // of input channels; in each
  explicit WeightPieces(const Conv1d &p)
      : strips{p.out_channels}, pieces(std::clamp(p.in_channels / 8, 1, 8)),
        channels((p.in_channels + pieces - 1) / pieces) {}
};

std::size_t scratch_size(const Conv1d &p) {
  const std::size_t forward = std::size_t(p.in_channels) * std::size_t(p.stride) * std::size_t(phase_row(p));
  const std::size_t data = std::size_t(p.out_channels) * std::size_t(gradient_row(p));
  const WeightPieces work(p);
  const std::size_t weight = std::size_t(work.channels) * std::size_t(input_row(p)) +
                             (std::size_t(most_positions) + std::size_t(work.channels) * std::size_t(p.kernel)) *
                                 std::size_t(whole_packs(p.out_channels));
  const std::size_t pack = std::size_t(whole_packs(1));
  return (std::max({forward, data, weight}) + pack - 1) / pack * pack;
}

// Calls f(tile, first row, rows, first column, columns) for all tiles of rows x columns, strip by strip.
template <class O, class F> void for_tiles(int rows, int columns, F f) {
  const Strips<SumOf<O>> strips{columns};
  for (int i = 0; i < strips.count(); ++i)
    strips.strip(i, [&]<int V>(int column, int count) {
      for (int r = 0; r < rows; r += tile_height) {
        ProductTile<O, V> tile;
        f(tile, r, std::min(tile_height, rows - r), column, count);
      }
    });
}

template <class Tile, class T> void begin(Tile &tile, const T *bias, int first, int rows) {
  tile.clear();
  if (bias)
    tile.each([&](int r, int v) { tile.sum[r][v] += bias[first + std::min(r, rows - 1)]; });
}

// Operands that so many channels, or positions, come to.
template <class O> int steps_of(int n) { return (n + depth_of<O> - 1) / depth_of<O>; }

// A thread's part of the workspace.
template <class O, class T> O *copies_in(T *workspace, const Conv1d &p) {
  static_assert(sizeof(O) == sizeof(T));
  return reinterpret_cast<O *>(workspace + std::size_t(thread_index()) * scratch_size(p));
}

// Weights as rows read them: those of `rows` rows and `channels` channels, `of_row` and `of_channel` apart, as they lie,
// or pairs of channels.
//   at(row, tap)[step along channels · channel]
template <class O, class T> class Weights {
public:
  Weights(const Scratch &scratch, const T *w, int rows, int channels, int taps, std::ptrdiff_t of_row,
          std::ptrdiff_t of_channel)
      : row(of_row), channel(of_channel) {
    if constexpr (std::is_same_v<O, T>) {
      at_ = w;
    } else {
      const int steps = steps_of<O>(channels);
      row = std::ptrdiff_t(steps) * taps, channel = taps;
      O *const to = scratch.take<O>(std::size_t(rows) * std::size_t(row));
      parallel_for(rows, double(rows) * double(row), [&](long r) {
        for (int c = 0; c < channels; c += depth_of<O>)
          for (int t = 0; t < taps; ++t)
            to[r * row + c / depth_of<O> * taps + t] =
                step_of<O>(w + r * of_row + c * of_channel + t, of_channel, c + 1 < channels);
      });
      at_ = to;
    }
  }
  const O *at(int r, int tap) const { return at_ + r * row + tap; }

private:
  const O *at_;

public:
  std::ptrdiff_t row, channel;
};

template <class O, class T> void forward(T *y, const T *x, const T *w, const T *bias, T *workspace, const Conv1d &p) {
  const int length = p.out_length(), row = phase_row(p), steps = steps_of<O>(p.in_channels);
  const Scratch scratch;
  const Weights<O, T> weights(scratch, w, p.out_channels, p.in_channels, p.kernel,
                              std::ptrdiff_t(p.in_channels) * p.kernel, p.kernel);
  parallel_for(p.batch, pieces_of(p.out_channels, most_channels), double(p.y_size()) * p.in_channels,
               [&](int n, int piece) {
                 // Position u of the padded input is element u / stride of phase u % stride, so that a tap's reads are neighbours.
                 O *phases = copies_in<O>(workspace, p);
                 for (int i = 0; i < steps; ++i) {
                   const int channel = i * depth_of<O>;
                   const T *from = x + (std::size_t(n) * p.in_channels + channel) * p.in_length;
                   for (int q = 0; q < p.stride; ++q) {
                     O *to = phases + (std::size_t(i) * p.stride + q) * row;
                     const int first = std::min(row, std::max(0, (p.padding - q + p.stride - 1) / p.stride));
                     const int last = std::clamp((p.in_length + p.padding - q + p.stride - 1) / p.stride, first, row);
                     std::fill(to, to + first, O(0));
                     const T *at = from + first * p.stride + q - p.padding;
                     for (int u = first; u < last; ++u, at += p.stride)
                       to[u] = step_of<O>(at, p.in_length, channel + 1 < p.in_channels);
                     std::fill(to + last, to + row, O(0));
                   }
                 }
                 const int from = piece * most_channels, channels = std::min(most_channels, p.out_channels - from);
                 T *out = y + (std::size_t(n) * p.out_channels + from) * length;
                 for_tiles<O>(channels, length, [&](auto &tile, int first, int rows, int column, int columns) {
                   begin(tile, bias, from + first, rows);
                   for (int q = 0; q < p.stride; ++q) {
                     const O *at[tile_height];
                     for (int r = 0; r < tile_height; ++r)
                       at[r] = weights.at(from + first + std::min(r, rows - 1), q);
                     tile.multiply(at, phases + std::size_t(q) * row + column,
                                   {steps, (p.kernel - q + p.stride - 1) / p.stride, weights.channel, p.stride,
                                    std::ptrdiff_t(p.stride) * row, 1});
                   }
                   tile.write(out + std::size_t(first) * length + column, length, rows, columns);
                 });
               });
}

template <class O, class T>
void backward_data(T *dx, const T *dy, const T *w, const T *bias, T *workspace, const Conv1d &p) {
  const int length = p.out_length(), row = gradient_row(p), steps = steps_of<O>(p.out_channels);
  const Scratch scratch;
  const Weights<O, T> weights(scratch, w, p.in_channels, p.out_channels, p.kernel, p.kernel,
                              std::ptrdiff_t(p.in_channels) * p.kernel);
  parallel_for(
      p.batch, pieces_of(p.in_channels, most_channels), double(p.y_size()) * p.in_channels, [&](int n, int piece) {
        O *padded = copies_in<O>(workspace, p); // `kernel` zeros before every row
        for (int o = 0; o < steps; ++o) {
          const int channel = o * depth_of<O>;
          const T *from = dy + (std::size_t(n) * p.out_channels + channel) * length;
          O *to = std::fill_n(padded + std::size_t(o) * row, p.kernel, O(0));
          for (int l = 0; l < length; ++l)
            *to++ = step_of<O>(from + l, length, channel + 1 < p.out_channels);
          std::fill(to, padded + std::size_t(o + 1) * row, O(0));
        }
        const int from = piece * most_channels, channels = std::min(most_channels, p.in_channels - from);
        // Positions of phase r, stride·u + r, see the taps first, first + stride, ... at u + shift, u + shift − 1, ...
        for (int r = 0; r < std::min(p.stride, p.in_length); ++r) {
          const int tap = (r + p.padding) % p.stride, shift = (r + p.padding) / p.stride;
          const int positions = (p.in_length - r + p.stride - 1) / p.stride;
          T *out = dx + (std::size_t(n) * p.in_channels + from) * p.in_length + r;
          for_tiles<O>(channels, positions, [&](auto &tile, int first, int rows, int column, int columns) {
            begin(tile, bias, from + first, rows);
            const O *at[tile_height];
            for (int i = 0; i < tile_height; ++i)
              at[i] = weights.at(from + first + std::min(i, rows - 1), tap);
            tile.multiply(at, padded + p.kernel + shift + column,
                          {steps, (p.kernel - tap + p.stride - 1) / p.stride, weights.channel, p.stride, row, -1});
            T *to = out + std::size_t(first) * p.in_length + std::size_t(column) * p.stride;
            if (p.stride == 1)
              return tile.write(to, p.in_length, rows, columns);
            tile.write_apart(to, p.in_length, p.stride, rows, columns);
          });
        }
      });
}

template <class O, class T> void backward_weight(T *dw, const T *dy, const T *x, T *workspace, const Conv1d &p) {
  constexpr bool is_copy = std::is_same_v<O, T>;
  const int length = p.out_length(), row = input_row(p);
  const WeightPieces work(p);
  parallel_for(work.pieces, work.strips.count(), double(p.y_size()) * p.in_channels, [&](int piece, int strip) {
    const int from = piece * work.channels, channels = std::min(work.channels, p.in_channels - from);
    if (channels <= 0)
      return;
    const Scratch scratch;
    T *const line = scratch.take<T>(is_copy ? 1 : std::size_t(row));
    work.strips.strip(strip, [&]<int V>(int first_out, int outs) {
      const int wide = whole_packs(outs), rows = channels * p.kernel;
      O *padded = copies_in<O>(workspace, p);              // each element with the one that the next position sees
      O *gradients = padded + std::size_t(channels) * row; // [positions, or pairs of them][output channels]
      T *sums = reinterpret_cast<T *>(gradients + std::size_t(most_positions) * wide); // [input channel, tap][outputs]
      std::fill_n(sums, std::size_t(rows) * wide, T(0));
      for (int n = 0; n < p.batch; ++n) {
        for (int i = 0; i < channels; ++i) {
          const T *in = x + (std::size_t(n) * p.in_channels + from + i) * p.in_length;
          const int seen = std::clamp(row - p.padding, 0, p.in_length);
          O *const pairs = padded + std::size_t(i) * row;
          T *const begin = is_copy ? reinterpret_cast<T *>(pairs) : line;
          T *to = std::fill_n(begin, std::min(row, p.padding), T(0));
          to = std::copy_n(in, seen, to);
          std::fill(to, begin + row, T(0));
          if constexpr (!is_copy)
            for (int u = 0; u < row; ++u)
              pairs[u] = step_of<O>(line + u, p.stride, u + p.stride < row);
        }
        for (int l = 0; l < length; l += most_positions) {
          const int positions = std::min(most_positions, length - l);
          transpose_into(gradients, wide, dy + (std::size_t(n) * p.out_channels + first_out) * length + l, length, outs,
                         positions);
          for_tiles<O>(rows, outs, [&](auto &tile, int first, int here, int column, int columns) {
            const O *at[tile_height];
            for (int r = 0; r < tile_height; ++r) {
              const int tap = first + std::min(r, here - 1);
              at[r] = padded + std::size_t(tap / p.kernel) * row + tap % p.kernel + std::size_t(l) * p.stride;
            }
            T *to = sums + std::size_t(first) * wide + column;
            tile.read(to, wide, here, columns);
            tile.multiply(at, gradients + column, {1, steps_of<O>(positions), 0, depth_of<O> * p.stride, 0, wide});
            tile.write(to, wide, here, columns);
          });
        }
      }
      for (int o = 0; o < outs; ++o)
        for (int tap = 0; tap < rows; ++tap)
          dw[(std::size_t(first_out + o) * p.in_channels + from) * p.kernel + tap] += sums[std::size_t(tap) * wide + o];
    });
  });
}

} // namespace

std::size_t conv1d_workspace(Backend backend, const Conv1d &p) {
  if constexpr (built_with_cuda)
    if (backend == Backend::cuda) {
      if (const double positions = double(p.batch) * std::max(p.in_length, p.out_length());
          positions > std::numeric_limits<int>::max())
        throw InputError("conv1d: found a batch of ", p.batch, " sequences of ", std::max(p.in_length, p.out_length()),
                         ", expected fewer than 2^31 positions: a smaller batch, or tiles");
      return cuda::conv1d_workspace(p);
    }
  return std::size_t(threads()) * scratch_size(p);
}

template <class T>
void conv1d_forward(Stream &s, T *y, const T *x, const T *w, const T *bias, T *workspace, const Conv1d &p) {
  const Span span(s, "conv1d_forward", double(p.x_size() + p.y_size() + p.w_size()) * sizeof(T),
                  2.0 * double(p.y_size()) * p.in_channels * p.kernel);
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda())
      return cuda::conv1d_forward(s, y, x, w, bias, workspace, p);
  with_operands<T>(p.arithmetic, [&]<class O>(O) { forward<O>(y, x, w, bias, workspace, p); });
}

template <class T>
void conv1d_backward_data(Stream &s, T *dx, const T *dy, const T *w, const T *bias, T *workspace, const Conv1d &p) {
  const Span span(s, "conv1d_backward_data", double(p.x_size() + p.y_size() + p.w_size()) * sizeof(T),
                  2.0 * double(p.y_size()) * p.in_channels * p.kernel);
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda())
      return cuda::conv1d_backward_data(s, dx, dy, w, bias, workspace, p);
  with_operands<T>(p.arithmetic, [&]<class O>(O) { backward_data<O>(dx, dy, w, bias, workspace, p); });
}

template <class T>
void conv1d_backward_weight(Stream &s, T *dw, const T *dy, const T *x, T *workspace, const Conv1d &p) {
  const Span span(s, "conv1d_backward_weight", double(p.x_size() + p.y_size() + p.w_size()) * sizeof(T),
                  2.0 * double(p.y_size()) * p.in_channels * p.kernel);
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda())
      return cuda::conv1d_backward_weight(s, dw, dy, x, workspace, p);
  with_operands<T>(p.arithmetic, [&]<class O>(O) { backward_weight<O>(dw, dy, x, workspace, p); });
}

#define THETA_INSTANTIATE(T)                                                                                           \
  template void conv1d_forward(Stream &, T *, const T *, const T *, const T *, T *, const Conv1d &);                   \
  template void conv1d_backward_data(Stream &, T *, const T *, const T *, const T *, T *, const Conv1d &);             \
  template void conv1d_backward_weight(Stream &, T *, const T *, const T *, T *, const Conv1d &);
THETA_INSTANTIATE(float)
THETA_INSTANTIATE(double)

} // namespace theta
