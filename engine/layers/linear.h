// y = x·wᵀ + b, PyTorch's Linear.   x [rows, in], y [rows, out], w [out, in], b [out].
#pragma once
#include "engine/networks/layout.h"
#include "kernels/operations/gemm.h"
#include "kernels/operations/reduce.h"
#include "parameters.h"

namespace theta {

class Linear {
  template <class T> using Is = std::type_identity_t<T>; // not deduced from

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

  // y, x, dy and dx are T, or bf16 where the parameters' type is float; T is that of y, or dy.
  template <class T> void forward(Stream &s, const Parameters<Wide<T>> &p, T *y, const Is<T> *x, int rows) const {
    linear_forward<T>(s, y, x, weight_of<T>(p), bias_of<T>(p), rows, in_, out_, arithmetic_);
  }

  // dx written, unless it is null; gradients added to.
  template <class T>
  void backward(Stream &s, const Parameters<Wide<T>> &p, Is<T> *dx, const T *dy, const Is<T> *x, int rows) const {
    product_backward(s, p, dx, dy, x, rows);
    channel_sum<T>(s, p.gradient_of(bias_), dy, rows, out_, 1);
  }

  // The same, dx added to.
  template <class T>
  void backward_accumulate(Stream &s, const Parameters<Wide<T>> &p, Is<T> *dx, const T *dy, const Is<T> *x,
                           int rows) const {
    gemm<T>(s, dx, dy, weight_of<T>(p),
            {.m = rows, .n = in_, .k = out_, .accumulate = true, .arithmetic = arithmetic_});
    linear_backward_weight<T>(s, p.begin_gradient(s, weight()), dy, x, rows, in_, out_, arithmetic_);
    p.end_gradient(weight());
    channel_sum<T>(s, p.gradient_of(bias_), dy, rows, out_, 1);
  }

  // Where there was no row: the gradient is complete as it is.
  template <class W> void backward_of_nothing(Stream &s, const Parameters<W> &p) const {
    p.begin_gradient(s, weight());
    p.end_gradient(weight());
  }

  // The same without the bias, which then belongs to the operation that follows (bias_act_forward).
  template <class T> void product(Stream &s, const Parameters<Wide<T>> &p, T *y, const Is<T> *x, int rows) const {
    linear_forward<T>(s, y, x, weight_of<T>(p), nullptr, rows, in_, out_, arithmetic_);
  }
  template <class T>
  void product_backward(Stream &s, const Parameters<Wide<T>> &p, Is<T> *dx, const T *dy, const Is<T> *x,
                        int rows) const {
    linear_backward<T>(s, dx, p.begin_gradient(s, weight()), dy, x, weight_of<T>(p), rows, in_, out_, arithmetic_);
    p.end_gradient(weight());
  }

  // This layer and GELU behind it, and back from the layer that reads them, to this one's bias too. Of this one remains
  // product_backward.
  template <class T>
  void gelu_forward(Stream &s, const Parameters<Wide<T>> &p, T *y, T *pre, const T *x, int rows) const {
    linear_gelu_forward<T>(s, y, pre, x, weight_of<T>(p), bias_of<T>(p), rows, in_, out_, arithmetic_);
  }
  template <class T>
  void gelu_backward_from(Stream &s, const Parameters<Wide<T>> &p, const Linear &after, T *d_pre, const T *dy,
                          const T *y, const T *pre, int rows) const {
    linear_gelu_backward<T>(s, d_pre, p.gradient_of(bias_), dy, after.template weight_of<T>(p), pre, rows, after.in_,
                            after.out_, arithmetic_);
    linear_backward_weight<T>(s, p.begin_gradient(s, after.weight()), dy, y, rows, after.in_, after.out_, arithmetic_);
    p.end_gradient(after.weight());
    channel_sum<T>(s, p.gradient_of(after.bias_), dy, rows, after.out_, 1);
  }

private:
  template <class T> const T *weight_of(const Parameters<Wide<T>> &p) const {
    return p.template value_as<T>() + weight_;
  }
  template <class T> const T *bias_of(const Parameters<Wide<T>> &p) const { return p.template value_as<T>() + bias_; }
  static Start start_of(Begin begin, int in) { return begin == Begin::zero ? Start{} : default_start(in); }

  int in_, out_;
  Arithmetic arithmetic_;
  std::size_t weight_, bias_;
};

} // namespace theta
