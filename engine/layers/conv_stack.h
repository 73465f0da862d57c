// ConvBlocks one after another, in training with as little memory as is asked for. What a block's backward needs is
// `pre`, what its convolution gave; its input is made again from the block before it: act(norm(pre)).
//
// Everything goes through in pieces of samples, so that only `pre` and gradients between blocks have the size of the
// batch. With `compact` they are stored in bf16 (where T is float), every other block's `pre` is not stored but
// convolved again, and a piece is a few samples. Without it, all are stored as they are, and a piece is the batch.
#pragma once
#include "conv_block.h"

namespace theta {

struct Keeping {
  bool compact = false;
  int piece = 0; // samples; 0: as many as fit into 256 MiB at the widest block, when compact
};

// What a stack works in, in elements: of a convolution, and one piece each of a block's input, `pre` and gradient.
struct StackNeeds {
  std::size_t workspace = 1, input = 0, pre = 0, gradient = 0;
  void cover(const StackNeeds &other); // as large as either
};

// The same planned. Stacks that run one after the other can share it.
template <class T> struct StackScratch {
  Tensor<T> workspace, input, pre, gradient;
  StackScratch() = default;
  StackScratch(MemoryPlan &, const std::string &name, const StackNeeds &);
};

template <class T> class ConvStack {
public:
  // Blocks whose shapes follow one another; all but the last must have a norm.
  ConvStack(std::string name, std::vector<ConvBlock<T>> blocks, const Keeping &);

  // Elements of one sample.
  std::size_t in_size() const { return blocks_.front().in_size(); }
  std::size_t out_size() const { return blocks_.back().out_size(); }

  StackNeeds needs(Backend, int batch, Mode) const;

  // Rehearses forward, then (in training) backward: call them in the order of the work. What the stack reads and writes
  // of the caller (x, out, d_out, dx) must be alive around the calls.
  void plan_forward(MemoryPlan &, int batch, Mode);
  void plan_backward(MemoryPlan &);
  void work_in(const StackScratch<T> &);

  // x [batch, in_size] -> out [batch, out_size].
  void forward(Stream &, const Parameters<T> &, T *out, const T *x, Mode) const;
  // d_out is overwritten; dx written unless it is null; gradients added to. x as in forward.
  void backward(Stream &, const Parameters<T> &, T *dx, T *d_out, const T *x) const;

private:
  struct Piece {
    int first, samples;
  };
  // A tensor of the batch: T, or bf16.
  struct Stored {
    Tensor<T> whole;
    Tensor<bf16> half;
    explicit operator bool() const { return whole.planned() || half.planned(); }
  };
  int last() const { return int(blocks_.size()) - 1; }
  int piece_of(int batch, Mode) const;
  bool is_kept(int i) const;
  // Whether block i's output gradient is made when it is asked for, from that of the last, which has no norm.
  bool is_made_of_last(int i) const { return i + 1 == last() && !blocks_.back().has_norm(); }
  Stored reserve(MemoryPlan &, const std::string &what, std::size_t sample) const;
  template <class F> void for_pieces(F f) const;

  const T *input(Stream &, const Parameters<T> &, int i, const Piece &, const T *x) const;
  template <class F>
  void with_pre(Stream &, const Parameters<T> &, int i, const Piece &, const T *x, F f) const; // f(pre)
  T *output_gradient(Stream &, const Parameters<T> &, int i, const Piece &, T *d_out) const;
  void backward(Stream &, const Parameters<T> &, int i, T *dx, T *d_out, const T *x) const;
  void store(Stream &, const Stored &, const T *from, std::size_t sample, const Piece &) const;

  std::string name_;
  std::vector<ConvBlock<T>> blocks_;
  Keeping keeping_;
  bool half_; // stored in bf16
  int batch_ = 0, piece_ = 0;
  std::vector<Tensor<T>> outputs_;               // without training
  std::vector<Stored> pre_, gradient_;           // a block each; the gradient is its output's
  Tensor<T> input_, pre_piece_, gradient_piece_; // one piece each
};

} // namespace theta
