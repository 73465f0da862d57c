// The context of a token of a sequence, made of those before it (after RPG: Wang et al., "Recurrent parameter
// generation", 2025):
//   x[t] = embed(token[t−1]) + place(t)
//   in every block:  x += out(scan(in(norm(x)))),  x += gate·fc2(gelu(fc1(norm(x)·(1 + scale) + shift)))
//   context[t] = norm(x[t])
// The scan carries a state of `width` numbers a block, and nothing else goes from token to token: a sequence in
// windows, each beginning with the states that the last one left, gives what the whole gives, in memory that does not
// grow with it. Gradients do not go back beyond a window.
#pragma once
#include "engine/layers/dit_block.h"
#include "kernels/operations/scan.h"

namespace theta {

struct RecurrenceShape {
  int token;                                  // elements
  int width = 256, blocks = 2, features = 64; // of a token's place
  Arithmetic arithmetic = Arithmetic::fp32;
};

template <class T> class Recurrence {
public:
  explicit Recurrence(const RecurrenceShape &);

  const Layout &parameters() const { return parameters_; }
  const Layout &buffers() const { return buffers_; }                                            // none
  std::size_t states() const { return std::size_t(shape_.blocks) * std::size_t(shape_.width); } // of one sequence

  // Rehearses a training step, or inference, of `length` tokens of `batch` sequences.
  void plan(MemoryPlan &, int batch, int length, Mode);

  // before [batch, length, token]: the tokens that come before those that are asked for; place [batch, length]: of
  // those that are asked for, in the sequence; state [blocks, batch, width], and `next`, what the window leaves: they
  // may be one where no backward follows. Returns the contexts, [batch·length, width]. before and state must live until
  // backward.
  const T *forward(Stream &, const Parameters<T> &, const T *before, const T *place, const T *state, T *next);
  // d_context [batch·length, width], overwritten; gradients of parameters are added to.
  void backward(Stream &, const Parameters<T> &, T *d_context, const T *before, const T *state);

private:
  struct Block {
    std::size_t gamma, beta, nu;
    Linear in, out;
    DitBlock<T> mlp;
    Tensor<T> normal, mean, rstd, u, h, branch, middle; // [rows, width]; [rows] twice
  };
  int rows() const { return batch_ * length_; }
  std::size_t size() const { return std::size_t(rows()) * std::size_t(shape_.width); }
  Scan scan() const { return {batch_, length_, shape_.width}; }

  RecurrenceShape shape_;
  Layout parameters_{model_alignment}, buffers_;
  std::optional<Linear> embed_, place_;
  std::vector<Block> blocks_;
  std::size_t gamma_ = 0, beta_ = 0;
  int batch_ = 0, length_ = 0;
  std::vector<const T *> inputs_;                           // of the blocks, and of the last norm
  Tensor<T> features_, x_, placed_, mean_, rstd_, context_; // [rows, features], [rows, width] twice, [rows] twice
  Tensor<T> d_branch_, partial_;                            // [rows, width], [batch, width]
};

} // namespace theta
