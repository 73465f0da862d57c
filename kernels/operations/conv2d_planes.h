// On the cpu, of conv2d: copies of images with a sample in each lane, so that a position of all of them is a pack, with
// zeros around the images, and rows and columns of one remainder by the stride together. Then a tap is an aligned shift,
// whatever the kernel and however small the image. With bf16 products a lane is a pair (pairs.h): of two channels where
// channels are summed over, of two samples in the weights' gradient.
#pragma once
#include "conv2d.h"
#include "kernels/parts/pairs.h"
#include "kernels/parts/scratch.h"
#include <algorithm>

namespace theta::simd {

// A block of samples, the last perhaps with fewer.
struct Block {
  std::size_t first;
  int count;
};
template <class O> int blocks_of(const Conv2d &p) { return (p.batch + lanes<O> - 1) / lanes<O>; }
template <class O> Block block(const Conv2d &p, int i) {
  return {std::size_t(i) * lanes<O>, std::min(lanes<O>, p.batch - i * lanes<O>)};
}

// Operands that so many channels come to.
template <class O> int steps_of(int channels) { return (channels + depth_of<O> - 1) / depth_of<O>; }

// Planes of height·width in memory, those of a sample one after another, and how they become operands: numbers alone,
// or pairs of two channels of a group, or of two samples.
template <class T> struct Images {
  const T *from;
  std::size_t of_sample; // distance of samples
  int samples;           // that are there
  int groups, of_group;  // channels of a group
  int height, width;
};
enum class PairsOf { channels, samples };

// Calls put(channel, row, column, pack) for every position of every channel, or pair of channels: a sample, or pair of
// samples, in each lane, 0 where there is none.
template <class O, PairsOf two, class T, class F> void with_samples_in_lanes(const Images<T> &images, F put) {
  constexpr int L = lanes<O>;
  constexpr bool is_pair = depth_of<O> == 2;
  constexpr int channels_at_once = is_pair && two == PairsOf::channels ? 2 : 1,
                samples_at_once = is_pair && two == PairsOf::samples ? 2 : 1;
  const int positions = images.height * images.width,
            steps = (images.of_group + channels_at_once - 1) / channels_at_once;
  const auto plane = [&](int sample, int group, int channel) -> const T * {
    if (sample >= images.samples || channel >= images.of_group)
      return nullptr;
    return images.from + std::size_t(sample) * images.of_sample +
           std::size_t(group * images.of_group + channel) * std::size_t(positions);
  };
  for (int c = 0; c < images.groups * steps; ++c) {
    const T *first[L], *second[L];
    for (int n = 0; n < L; ++n) {
      const int sample = n * samples_at_once, group = c / steps, channel = c % steps * channels_at_once;
      first[n] = plane(sample, group, channel);
      second[n] = is_pair ? plane(sample + samples_at_once - 1, group, channel + channels_at_once - 1) : nullptr;
    }
    int u = 0, v = 0;
    for (int p = 0; p < positions; p += L) {
      const int here = std::min(L, positions - p);
      Pack<O> of[L];
      for (int n = 0; n < L; ++n)
        of[n] = first[n] ? load_step<O>(first[n] + p, second[n] ? second[n] + p : nullptr, here) : Pack<O>{};
      transpose(of);
      for (int i = 0; i < here; ++i) {
        put(c, u, v, of[i]);
        if (++v == images.width)
          v = 0, ++u;
      }
    }
  }
}

// Copies of planes with samples in lanes. What is outside of an image is 0.
//   [channels, or pairs of them][phases of rows, of columns][rows][columns][lanes]
template <class O> class Planes {
public:
  static constexpr int L = lanes<O>;

  // Position (u, v) of a plane stands at (u + above) / stride, (v + before) / stride of its phases; there are so many
  // rows and columns of each.
  Planes(const Scratch &scratch, int channels, int stride, int above, int before, int rows, int columns)
      : stride_(stride), above_(above), before_(before), columns_(columns),
        channel(std::ptrdiff_t(stride) * stride * rows * columns * L), row(std::ptrdiff_t(columns) * L),
        phase_(std::ptrdiff_t(rows) * row), size_(std::size_t(channels * channel)), at_(scratch.take<O>(size_)) {
    std::fill_n(at_, size_, O(0));
  }

  // Channels from `first` on.
  template <PairsOf two, class T> void fill(int first, const Images<T> &images) {
    with_samples_in_lanes<O, two>(images, [&](int c, int u, int v, Pack<O> pack) {
      store(at_ + (first + c) * channel + place(u + above_, v + before_), pack);
    });
  }

  // Where position (u, v) stands in its channel, counted with what is before the image.
  std::ptrdiff_t place(int u, int v) const {
    return (u % stride_ * stride_ + v % stride_) * phase_ + (std::ptrdiff_t(u / stride_) * columns_ + v / stride_) * L;
  }
  const O *of(int c) const { return at_ + c * channel; }

private:
  int stride_, above_, before_, columns_;

public:
  std::ptrdiff_t channel, row; // distances

private:
  std::ptrdiff_t phase_;
  std::size_t size_;
  O *at_;
};

// [positions][lanes] of a channel into its planes of `samples` samples, written or added to.
template <class T>
void give_planes(T *to, std::size_t of_sample, int samples, const T *from, int positions, bool accumulate) {
  constexpr int L = lanes<T>;
  for (int p = 0; p < positions; p += L) {
    const int here = std::min(L, positions - p);
    Pack<T> of[L];
    for (int i = 0; i < L; ++i)
      of[i] = i < here ? load<Pack<T>>(from + (p + i) * L) : Pack<T>{};
    transpose(of);
    for (int n = 0; n < samples; ++n) {
      T *at = to + n * of_sample + p;
      store_some(at, accumulate ? of[n] + load_some<Pack<T>>(at, here) : of[n], here);
    }
  }
}

// The input as the forward pass and the gradient of the weights read it.
template <class O> Planes<O> input_planes(const Scratch &scratch, const Conv2d &p, int channels) {
  const auto phases = [&](int out, int in, int kernel, int padding) {
    return (std::max((out - 1) * p.stride + kernel, in + padding) + p.stride - 1) / p.stride;
  };
  return {scratch,
          channels,
          p.stride,
          p.above(),
          p.padding,
          phases(p.out_height(), p.in_height, p.rows(), p.above()),
          phases(p.out_width(), p.in_width, p.kernel, p.padding)};
}

} // namespace theta::simd
