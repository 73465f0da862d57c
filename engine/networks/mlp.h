// N multilayer perceptrons of one architecture (network.h) at once, layer by layer. Network i is row i of theta [N, V].
#pragma once
#include "engine/memory/plan.h"
#include "kernels/operations/activation.h"
#include "network.h"

namespace theta {

template <class T> class Mlp {
public:
  explicit Mlp(NetworkShape shape) : shape_(std::move(shape)), layout_(layout_of(shape_)) {}

  const NetworkShape &shape() const { return shape_; }
  const Layout &layout() const { return layout_; }
  int inputs() const { return shape_.widths.front(); }
  int outputs() const { return shape_.widths.back(); }

  // Rehearses a training step (forward, backward) or inference of `networks` networks on `batch` rows each.
  void plan(MemoryPlan &, bool training, int networks, int batch);

  // x [networks, batch, inputs] -> logits [networks, batch, outputs]. Keeps what backward needs.
  T *forward(Stream &, const T *theta, const T *x);
  // gradient [N, V] is added to; d_logits [networks, batch, outputs] is the gradient of the losses (it may be the
  // logits).
  void backward(Stream &, const T *theta, T *gradient, const T *d_logits, const T *x);

  // Inference of `networks` networks (at most as many as planned) on the same x [rows, inputs], rows <= batch:
  // logits [networks, rows, outputs].
  T *infer(Stream &, const T *theta, const T *x, int networks, int rows);

private:
  int layers() const { return int(shape_.widths.size()) - 1; }
  int in(int l) const { return shape_.widths[std::size_t(l)]; }
  int out(int l) const { return shape_.widths[std::size_t(l) + 1]; }
  std::size_t weight(int l) const { return layout_.places()[std::size_t(2 * l)].offset; }
  std::size_t bias(int l) const { return layout_.places()[std::size_t(2 * l + 1)].offset; }
  BiasAct bias_act(int l) const;

  NetworkShape shape_;
  Layout layout_;
  bool training_ = false;
  int networks_ = 0, batch_ = 0;
  // One a layer, [networks, batch, its width]: before bias and activation, after, and its gradient.
  std::vector<Tensor<T>> pre_, out_, gradient_;
};

} // namespace theta
