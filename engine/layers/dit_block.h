// A transformer block whose normalisations, and whose branches, are conditioned by a vector a sample (adaLN-Zero:
// Peebles & Xie, "Scalable diffusion models with transformers", 2023):
//   (shift1, scale1, gate1, shift2, scale2, gate2) = ada(silu(c))
//   x = x + gate1·proj(attention(qkv(norm(x)·(1 + scale1) + shift1)))
//   x = x + gate2·fc2(gelu_tanh(fc1(norm(x)·(1 + scale2) + shift2)))
// A token alone has nothing to attend to: without the second line (attends) it is a block of a residual perceptron, and
// ada gives three.
// x [batch, tokens, width], c [batch, width]. Tokens have no places: a permutation of them permutes the output. A block
// that is not conditioned has the six as parameters of its own, the same for all samples.
// The residual stream x, and what conditions, are Wide<T>; branches are T, which may be bf16: products on tensor cores
// of weights rounded to bf16 (Parameters::narrow_value), sums, statistics and gradients of parameters in fp32.
#pragma once
#include "engine/memory/plan.h"
#include "kernels/operations/attention.h"
#include "kernels/operations/head_norm.h"
#include "kernels/operations/modulate.h"
#include "linear.h"

namespace theta {

struct DitBlockShape {
  int width, heads, tokens;
  int expansion = 4; // of the hidden layer
  Arithmetic arithmetic = Arithmetic::fp32;
  bool conditioned = true; // by a vector a sample
  bool qk_norm = false;    // queries and keys of one size (head_norm.h)
  bool attends = true;
};

template <class T> class DitBlock {
public:
  using W = Wide<T>;

  // Adds NAMEqkv, NAMEproj, NAMEfc1, NAMEfc2, NAMEada (.weight, .bias) to the layout; NAMEada.bias alone where it is
  // not conditioned; NAMEqk_gain with qk_norm. ada starts at zero, so that a fresh block is the identity.
  DitBlock(Layout &, const std::string &name, const DitBlockShape &);

  // Rehearses forward: in training, what backward needs stays until plan_backward.
  void plan_forward(MemoryPlan &, const std::string &name, int batch, Mode);
  void plan_backward(MemoryPlan &);

  // The block's output. silu_c [batch, width] is silu(c) already: all blocks share it; null where the block is not
  // conditioned, as d_silu_c. x must live until backward.
  W *forward(Stream &, const Parameters<W> &, const W *x, const W *silu_c);
  // dx, the gradient of the output on entry, becomes that of x. d_silu_c is added to.
  void backward_accumulate(Stream &, const Parameters<W> &, W *dx, W *d_silu_c, const W *x, const W *silu_c);

private:
  template <class E>
  void reserve(MemoryPlan &, Tensor<E> &, const char *what, std::int64_t width, std::int64_t rows) const;
  Modulation modulation() const;
  HeadNorm head_norm() const { return {rows(), shape_.heads, shape_.width / shape_.heads}; }
  Attention attention() const { return {batch_, shape_.tokens, shape_.heads, shape_.width / shape_.heads}; }
  int rows() const { return batch_ * shape_.tokens; }
  int parts() const { return shape_.attends ? 6 : 3; }
  // Of ada's: shift, scale and gate of attention, then of the perceptron.
  W *part(const Tensor<W> &of, int i) const { return of + std::size_t(i - 6 + parts()) * shape_.width; }
  W *attend(Stream &, const Parameters<W> &, const W *x);
  void attend_backward(Stream &, const Parameters<W> &, W *dx, const W *x);

  DitBlockShape shape_;
  std::optional<Linear> qkv_, proj_;
  std::optional<Linear> fc1_, fc2_, ada_;
  std::size_t ada_bias_, qk_gain_ = 0; // offsets
  std::string name_;
  int batch_ = 0;
  Tensor<T> normal1_, qkv_raw_, qkv_out_, attended_, branch1_, normal2_, hidden_, active_, branch2_;
  Tensor<W> conditions_, mean1_, rstd1_, qk_rstd_, log_sum_, middle_, mean2_, rstd2_, out_;
  Tensor<T> d_branch_, d_hidden_, d_normal_, d_qkv_, d_attended_;
  Tensor<W> d_conditions_, through_, d_silu_;
};

} // namespace theta
