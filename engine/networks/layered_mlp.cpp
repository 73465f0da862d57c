#include "layered_mlp.h"
#include "kernels/operations/gemm.h"
#include <algorithm>

namespace theta {

template <class T> BiasAct Mlp<T>::bias_act(int l) const {
  return {networks_,          batch_, out(l), layout_.size(), l + 1 < layers() ? shape_.act : Activation::none,
          float(shape_.omega)};
}

template <class T> void Mlp<T>::plan(MemoryPlan &plan, bool training, int networks, int batch) {
  training_ = training, networks_ = networks, batch_ = batch;
  pre_.assign(std::size_t(layers()), {}), out_ = gradient_ = pre_;
  const auto reserve = [&](const std::string &name, int l) {
    return plan.reserve<T>(name, MemoryClass::activations, {networks, batch, out(l)},
                           training ? "zoo.wave" : "eval.wave");
  };
  for (int l = 0; l < layers(); ++l) {
    if (training)
      pre_[l] = reserve(text("mlp.pre.", l), l);
    out_[l] = reserve(text("mlp.out.", l), l);
    if (!training && l > 0)
      plan.release(out_[l - 1]);
  }
  if (!training)
    return;
  gradient_.back() = reserve(text("mlp.d.", layers() - 1), layers() - 1);
  for (int l = layers();
       l-- > 0;) { // the layer writes the gradient of the one below; then nobody needs its own tensors
    if (l > 0)
      gradient_[l - 1] = reserve(text("mlp.d.", l - 1), l - 1);
    plan.release(pre_[l], out_[l], gradient_[l]);
  }
}

template <class T> T *Mlp<T>::forward(Stream &s, const T *theta, const T *x) {
  for (int l = 0; l < layers(); ++l) {
    const std::size_t rows = std::size_t(batch_);
    gemm<T>(s, pre_[l], l > 0 ? out_[l - 1] : x, theta + weight(l),
            {.m = batch_,
             .n = out(l),
             .k = in(l),
             .transpose_b = true,
             .batch = networks_,
             .stride_a = rows * in(l),
             .stride_b = layout_.size(),
             .stride_c = rows * out(l)});
    bias_act_forward<T>(s, out_[l], pre_[l], theta + bias(l), bias_act(l));
  }
  return out_.back();
}

template <class T> void Mlp<T>::backward(Stream &s, const T *theta, T *gradient, const T *d_out_last, const T *x) {
  for (int l = layers(); l-- > 0;) {
    const std::size_t rows = std::size_t(batch_);
    const T *d_out = l + 1 < layers() ? gradient_[l] : d_out_last;
    bias_act_backward<T>(s, gradient_[l], gradient + bias(l), d_out, pre_[l], theta + bias(l), bias_act(l));
    gemm<T>(s, gradient + weight(l), gradient_[l], l > 0 ? out_[l - 1] : x,
            {.m = out(l),
             .n = in(l),
             .k = batch_,
             .transpose_a = true,
             .accumulate = true,
             .batch = networks_,
             .stride_a = rows * out(l),
             .stride_b = rows * in(l),
             .stride_c = layout_.size()});
    if (l > 0)
      gemm<T>(s, gradient_[l - 1], gradient_[l], theta + weight(l),
              {.m = batch_,
               .n = in(l),
               .k = out(l),
               .batch = networks_,
               .stride_a = rows * out(l),
               .stride_b = layout_.size(),
               .stride_c = rows * in(l)});
  }
}

template <class T> T *Mlp<T>::infer(Stream &s, const T *theta, const T *x, int networks, int rows) {
  for (int l = 0; l < layers(); ++l)
    gemm<T>(s, out_[l], l > 0 ? out_[l - 1] : x, theta + weight(l),
            {.m = rows,
             .n = out(l),
             .k = in(l),
             .transpose_b = true,
             .batch = networks,
             .stride_a = l > 0 ? std::size_t(rows) * in(l) : 0,
             .stride_b = layout_.size(),
             .stride_c = std::size_t(rows) * out(l),
             .stride_bias = layout_.size(),
             .omega = float(shape_.omega)},
            theta + bias(l), l + 1 < layers() ? shape_.act : Activation::none);
  return out_.back();
}

template class Mlp<float>;
template class Mlp<double>;

} // namespace theta
