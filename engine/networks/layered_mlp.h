// Multilayer perceptrons of one architecture, layer by layer (layered.h).
#pragma once
#include "kernels/operations/activation.h"
#include "layered.h"

namespace theta {

template <class T> class Mlp : public LayeredNetworks<T> {
public:
  explicit Mlp(NetworkShape shape) : shape_(std::move(shape)), layout_(layout_of(shape_)) {}

  const NetworkShape &shape() const override { return shape_; }
  const Layout &layout() const override { return layout_; }
  void plan(MemoryPlan &, bool training, int networks, int batch) override;
  T *forward(Stream &, const T *theta, const T *x) override;
  void backward(Stream &, const T *theta, T *gradient, const T *d_out, const T *x) override;
  T *infer(Stream &, const T *theta, const T *x, int networks, int rows) override;

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
