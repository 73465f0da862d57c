// ConvBlocks one after another in training, in tiles of their length: nothing of the batch's size is kept but what goes
// in and what comes out. Activations are made again, tile by tile, from the input, each with as much around it as the
// convolutions after it reach (a halo); statistics of batch normalisation are those of the whole batch, exactly.
//
//   forward   a pass over all tiles for every block with a norm (its moments), and one for the output
//   backward  a pass for every block, from the last: gradients of its weights, and the sums of the norm before it
//
// L blocks cost about L²/2 runs of a block forward and, backward, L² forward and L²/2 back, in place of L and of L
// back: some five times the arithmetic, for memory of a tile. The numbers are those of ConvStack but for the order in
// which moments, sums and gradients of weights are added up.
#pragma once
#include "conv_block.h"

namespace theta {

template <class T> class ConvTiles {
public:
  // Blocks whose shapes follow one another, of odd kernels; all but the last have a norm. A tile is `tile` elements of
  // the longest sequence, rounded up to whole elements of the shortest one.
  ConvTiles(std::string name, std::vector<ConvBlock<T>> blocks, int tile);

  std::size_t in_size() const { return blocks_.front().in_size(); } // of a sample
  std::size_t out_size() const { return blocks_.back().out_size(); }

  // What a training step, or inference, of `batch` samples works in. What it reads and writes of the caller is alive
  // around it.
  void plan(MemoryPlan &, Backend, int batch, Mode);

  // x [batch, in_size] -> out [batch, out_size]; x must live until backward. Inference is one pass.
  void forward(Stream &, const Parameters<T> &, T *out, const T *x, Mode) const;
  // dx written unless it is null; gradients added to.
  void backward(Stream &, const Parameters<T> &, T *dx, const T *d_out, const T *x) const;

private:
  // Elements first..last−1 of a sequence; where it sticks out, all is zero.
  struct Range {
    int first, last;
    int length() const { return last - first; }
    bool is_empty() const { return first >= last; }
    Range with(const Range &o) const {
      return is_empty() ? o : o.is_empty() ? *this : Range{std::min(first, o.first), std::max(last, o.last)};
    }
  };
  // The ranges that a pass works on, after block 0, 1, ...: of `pre`, and of gradients.
  struct Pass {
    int top; // the last block whose `pre` is made
    std::vector<Range> pre, gradient;
  };
  // Elements a sample that a pass needs.
  struct Needs {
    std::vector<std::size_t> pre;
    std::size_t input = 1, wide = 1, gradient = 1, other = 1, workspace = 1;
    int zeros = 1;
  };

  int last() const { return int(blocks_.size()) - 1; }
  const ConvBlock<T> &block(int i) const { return blocks_[std::size_t(i)]; }
  // After block i; before the first for −1.
  int length(int i) const { return i < 0 ? block(0).in_length() : block(i).out_length(); }
  int channels(int i) const { return i < 0 ? block(0).in_channels() : block(i).out_channels(); }
  std::size_t size(int i, const Range &r) const { return std::size_t(channels(i)) * std::size_t(r.length()); }

  int halo(int i) const; // in strides of block i
  Range aligned(int i, Range) const;
  Range reads(int i, const Range &out) const;   // block i's input that its output needs
  Range made_of(int i, const Range &in) const;  // block i's output, as its convolution makes it of an input
  Range needs(int i, const Range &in) const;    // the gradient after block i that the gradient before it needs
  Range back_of(int i, const Range &out) const; // the gradient before block i, as its convolution makes it
  Stretch stretch(int i, const Range &out) const;
  Pass forward_pass(int top, const Range &out) const;
  Pass backward_pass(int i, const Range &in) const; // gradients of block i, for a tile of its input
  void cover(Needs &, Backend, const Pass &, int gradient_of) const;
  template <class F> void for_tiles(int i, F f) const; // f(tile after block i)

  // Rows [batch · channels of level i], part of a range into another: what is not there is zero.
  void crop(Stream &, T *to, const Range &part, const T *from, const Range &of, int i) const;
  void clear_outside(Stream &, T *x, const Range &, int i) const;
  // The same from or to the caller's whole sequences.
  void crop_whole(Stream &, T *to, const Range &part, const T *whole, int i) const;
  void put_whole(Stream &, T *whole, const Range &tile, const T *from, int i) const;
  void activation(Stream &, const Parameters<T> &, const Pass &, int i, const Range &, const T *x) const; // into input_
  void run(Stream &, const Parameters<T> &, const Pass &, const T *x) const;                              // pre_
  void backward(Stream &, const Parameters<T> &, int i, const Range &in, T *dx, const T *d_out, const T *x) const;

  std::string name_;
  std::vector<ConvBlock<T>> blocks_;
  int tile_, longest_ = 0, batch_ = 0, zero_count_ = 0;
  std::vector<Tensor<T>> pre_; // of every block, on its pass's range
  Tensor<T> input_, wide_, gradient_, other_, zeros_;
};

} // namespace theta
