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

// What a stack works in; stacks that run one after the other can share it.
struct StackScratch {
  std::size_t workspace = 1, input = 0, pre = 0, gradient = 0; // elements
  Slot workspace_slot, input_slot, pre_slot, gradient_slot;

  void cover(const StackScratch &other); // as large as either
  template <class T> void reserve(MemoryPlan &, const std::string &name);
};

template <class T> class ConvStack {
public:
  // Blocks whose shapes follow one another; all but the last must have a norm.
  ConvStack(std::string name, std::vector<ConvBlock<T>> blocks, const Keeping &);

  // Elements of one sample.
  std::size_t in_size() const { return blocks_.front().in_size(); }
  std::size_t out_size() const { return blocks_.back().out_size(); }

  StackScratch scratch(Backend, int batch, Mode) const; // sizes alone

  // Rehearses forward, then (in training) backward: call them in the order of the work. What the stack reads and writes
  // of the caller (x, out, d_out, dx) must be alive around the calls.
  void plan_forward(MemoryPlan &, int batch, Mode);
  void plan_backward(MemoryPlan &);
  void bind(const Arena &, const StackScratch &);

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
    Slot slot;
    std::byte *at = nullptr;
    explicit operator bool() const { return bool(slot); }
  };
  int last() const { return int(blocks_.size()) - 1; }
  int piece_of(int batch, Mode) const;
  bool is_kept(int i) const;
  // Whether block i's output gradient is made when it is asked for, from that of the last, which has no norm.
  bool is_made_of_last(int i) const { return i + 1 == last() && !blocks_.back().has_norm(); }
  Slot reserve(MemoryPlan &, const std::string &what, std::size_t sample) const;
  void bind(const Arena &, Stored &) const;
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
  std::vector<Slot> output_slots_; // without training
  std::vector<T *> outputs_;
  std::vector<Stored> pre_, gradient_; // a block each; the gradient is its output's
  // One piece each.
  T *input_ = nullptr, *pre_piece_ = nullptr, *gradient_piece_ = nullptr;
};

} // namespace theta
