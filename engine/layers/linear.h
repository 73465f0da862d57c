// y = x·wᵀ + b, PyTorch's Linear.   x [rows, in], y [rows, out], w [out, in], b [out].
#pragma once
#include "engine/weights/layout.h"
#include "kernels/gemm.h"
#include "kernels/reduce.h"
#include "parameters.h"

namespace theta {

class Linear {
public:
  // Adds name.weight and name.bias to the layout, beginning as PyTorch's default, or at zero.
  enum class Begin { as_default, zero };
  Linear(Layout &layout, const std::string &name, int in, int out, Arithmetic arithmetic = Arithmetic::fp32,
         Begin begin = Begin::as_default)
      : in_(in), out_(out), arithmetic_(arithmetic),
        weight_(layout.add(name + ".weight", {out, in}, start_of(begin, in))),
        bias_(layout.add(name + ".bias", {out}, start_of(begin, in))) {}

  int in() const { return in_; }
  int out() const { return out_; }
  TensorRange weight() const { return {weight_, std::size_t(in_) * std::size_t(out_)}; }
  std::size_t bias() const { return bias_; }

  template <class T> void forward(Stream &s, const Parameters<T> &p, T *y, const T *x, int rows) const {
    linear_forward<T>(s, y, x, p.value + weight_, p.value + bias_, rows, in_, out_, arithmetic_);
  }

  // dx written, unless it is null; gradients added to.
  template <class T> void backward(Stream &s, const Parameters<T> &p, T *dx, const T *dy, const T *x, int rows) const {
    product_backward(s, p, dx, dy, x, rows);
    channel_sum<T>(s, p.gradient_of(bias_), dy, rows, out_, 1);
  }

  // The same without the bias, which then belongs to the operation that follows (bias_act_forward).
  template <class T> void product(Stream &s, const Parameters<T> &p, T *y, const T *x, int rows) const {
    linear_forward<T>(s, y, x, p.value + weight_, nullptr, rows, in_, out_, arithmetic_);
  }
  template <class T>
  void product_backward(Stream &s, const Parameters<T> &p, T *dx, const T *dy, const T *x, int rows) const {
    linear_backward<T>(s, dx, p.gradient_of(weight_), dy, x, p.value + weight_, rows, in_, out_, arithmetic_);
  }

private:
  static Start start_of(Begin begin, int in) { return begin == Begin::zero ? Start{} : default_start(in); }

  int in_, out_;
  Arithmetic arithmetic_;
  std::size_t weight_, bias_;
};

} // namespace theta
