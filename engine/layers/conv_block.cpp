#include "conv_block.h"
#include "kernels/operations/reduce.h"
#include <cmath>

namespace theta {

template <class T>
ConvBlock<T>::ConvBlock(Layout &parameters, Layout &buffers, const std::string &conv, const std::string &norm,
                        const ConvBlockShape &shape)
    : shape_(shape), has_norm_(!norm.empty()) {
  const std::int64_t in = shape.in_channels, out = shape.out_channels, kernel = shape.kernel;
  // PyTorch takes the second axis of the weight for its fan_in, also where that is the output (transposed).
  const Start start = default_start(int((shape.transposed ? out : in) * kernel));
  weight_ = parameters.add(conv + ".weight", shape.transposed ? Shape{in, out, kernel} : Shape{out, in, kernel}, start);
  bias_ = parameters.add(conv + ".bias", {out}, start);
  if (!has_norm_)
    return;
  gamma_ = parameters.add(norm + ".weight", {out}, {.constant = 1});
  beta_ = parameters.add(norm + ".bias", {out}, {});
  running_mean_ = buffers.add(norm + ".running_mean", {out}, {});
  running_var_ = buffers.add(norm + ".running_var", {out}, {.constant = 1});
}

template <class T> Conv1d ConvBlock<T>::conv(const Stretch &part) const {
  const int padding = shape_.kernel / 2, length = part.in_length > 0 ? part.in_length : shape_.in_length;
  if (!shape_.transposed)
    return {part.samples, shape_.in_channels, shape_.out_channels, length, shape_.kernel, shape_.stride,
            padding,      shape_.arithmetic};
  return {part.samples, shape_.out_channels, shape_.in_channels, length * shape_.stride, shape_.kernel, shape_.stride,
          padding,      shape_.arithmetic};
}

template <class T> int ConvBlock<T>::out_length(int in_length) const {
  const Conv1d c = conv({1, in_length});
  return shape_.transposed ? c.in_length : c.out_length();
}

template <class T> BatchNorm ConvBlock<T>::norm(const Stretch &part) const {
  return {part.samples, shape_.out_channels, out_length(part.in_length), shape_.act};
}

template <class T> std::size_t ConvBlock<T>::workspace(Backend backend, const Stretch &part) const {
  return conv1d_workspace(backend, conv(part));
}

template <class T> void ConvBlock<T>::plan_forward(MemoryPlan &plan, const std::string &name, int batch, Mode mode) {
  batch_ = batch;
  if (!has_norm_ || mode == Mode::infer)
    return;
  const std::int64_t channels = shape_.out_channels;
  pre_ = plan.reserve<T>(name + ".pre", MemoryClass::activations, {batch, channels, out_length()}, "batch");
  mean_ = plan.reserve<T>(name + ".mean", MemoryClass::activations, {channels});
  rstd_ = plan.reserve<T>(name + ".rstd", MemoryClass::activations, {channels});
}

template <class T> void ConvBlock<T>::plan_backward_done(MemoryPlan &plan) { plan.release(pre_, mean_, rstd_); }

template <class T> void ConvBlock<T>::plan_steps(MemoryPlan &plan, const std::string &name, int batch) {
  batch_ = batch;
  if (!has_norm_)
    return;
  const std::int64_t channels = shape_.out_channels;
  const auto reserve = [&](const char *what, std::int64_t each) {
    return plan.reserve<T>(name + what, MemoryClass::activations, {channels, each});
  };
  mean_ = reserve(".mean", 1), rstd_ = reserve(".rstd", 1);
  moments_ = reserve(".moments", 2), sums_ = reserve(".sums", 2);
}

template <class T>
void ConvBlock<T>::convolve(Stream &s, const Parameters<T> &p, T *pre, const T *x, const Stretch &part) const {
  if (shape_.transposed)
    conv_transpose1d_forward<T>(s, pre, x, p.value + weight_, p.value + bias_, workspace_, conv(part));
  else
    conv1d_forward<T>(s, pre, x, p.value + weight_, p.value + bias_, workspace_, conv(part));
}

template <class T> void ConvBlock<T>::add_moments(Stream &s, const T *pre, double seen, const Stretch &part) const {
  batchnorm_add_moments<T>(s, moments_, pre, seen, norm(part));
}

template <class T> void ConvBlock<T>::settle(Stream &s, const Parameters<T> &p) const {
  batchnorm_settle<T>(s, mean_, rstd_, p.buffer + running_mean_, p.buffer + running_var_, moments_, norm(batch_));
}

template <class T> void ConvBlock<T>::settle_running(Stream &s, const Parameters<T> &p) const {
  const std::size_t channels = std::size_t(shape_.out_channels);
  copy(s, mean_, p.buffer + running_mean_, channels * sizeof(T));
  auto rstd = to_host(s, p.buffer + running_var_, channels);
  for (T &x : rstd)
    x = T(1 / std::sqrt(double(x) + norm(1).eps));
  copy(s, rstd_, rstd.data(), channels * sizeof(T));
  s.synchronize();
}

template <class T>
template <class X>
void ConvBlock<T>::normalise(Stream &s, const Parameters<T> &p, T *out, const X *pre, const Stretch &part) const {
  batchnorm_again<T>(s, out, pre, mean_, rstd_, p.value + gamma_, p.value + beta_, norm(part));
}

template <class T> void ConvBlock<T>::clear_sums(Stream &s) const {
  fill_zero(s, sums_, std::size_t(2 * shape_.out_channels) * sizeof(T));
}

template <class T>
template <class X>
void ConvBlock<T>::add_gradient_sums(Stream &s, const Parameters<T> &p, const T *d_out, const X *pre,
                                     const Stretch &part) const {
  batchnorm_gradient_sums<T>(s, sums_, p.gradient_of(gamma_), p.gradient_of(beta_), d_out, pre, mean_, rstd_,
                             p.value + gamma_, p.value + beta_, norm(part));
}

template <class T>
template <class X>
void ConvBlock<T>::norm_gradient(Stream &s, const Parameters<T> &p, T *d_pre, const T *d_out, const X *pre,
                                 const Stretch &part) const {
  batchnorm_gradient<T>(s, d_pre, sums_, d_out, pre, mean_, rstd_, p.value + gamma_, p.value + beta_, norm(part),
                        double(batch_) * out_length());
}

template <class T>
void ConvBlock<T>::whole_norm_gradient(Stream &s, const Parameters<T> &p, T *d_pre, const T *d_out,
                                       const T *pre) const {
  batchnorm_backward<T>(s, d_pre, p.gradient_of(gamma_), p.gradient_of(beta_), d_out, pre, mean_, rstd_,
                        p.value + gamma_, p.value + beta_, norm(batch_));
}

template <class T>
void ConvBlock<T>::weight_gradient(Stream &s, const Parameters<T> &p, const T *d_pre, const T *x,
                                   const Stretch &part) const {
  channel_sum<T>(s, p.gradient_of(bias_), d_pre, part.samples, shape_.out_channels, out_length(part.in_length));
  if (shape_.transposed)
    conv_transpose1d_backward_weight<T>(s, p.gradient_of(weight_), d_pre, x, workspace_, conv(part));
  else
    conv1d_backward_weight<T>(s, p.gradient_of(weight_), d_pre, x, workspace_, conv(part));
}

template <class T>
void ConvBlock<T>::input_gradient(Stream &s, const Parameters<T> &p, T *dx, const T *d_pre, const Stretch &part) const {
  if (shape_.transposed)
    conv_transpose1d_backward_data<T>(s, dx, d_pre, p.value + weight_, workspace_, conv(part));
  else
    conv1d_backward_data<T>(s, dx, d_pre, p.value + weight_, nullptr, workspace_, conv(part));
}

template <class T> void ConvBlock<T>::forward(Stream &s, const Parameters<T> &p, T *out, const T *x, Mode mode) const {
  T *pre = has_norm_ && mode == Mode::train ? pre_.get() : out;
  convolve(s, p, pre, x, batch_);
  if (!has_norm_)
    return;
  T *mean = p.buffer + running_mean_, *var = p.buffer + running_var_;
  if (mode == Mode::train)
    batchnorm_forward<T>(s, out, mean_, rstd_, mean, var, pre, p.value + gamma_, p.value + beta_, norm(batch_));
  else
    batchnorm_infer<T>(s, out, pre, mean, var, p.value + gamma_, p.value + beta_, norm(batch_));
}

template <class T>
void ConvBlock<T>::backward(Stream &s, const Parameters<T> &p, T *dx, T *d_pre, const T *d_out, const T *x) const {
  const T *d = d_out;
  if (has_norm_)
    whole_norm_gradient(s, p, d_pre, d_out, pre_), d = d_pre;
  weight_gradient(s, p, d, x, batch_);
  if (dx)
    input_gradient(s, p, dx, d, batch_);
}

template class ConvBlock<float>;
template class ConvBlock<double>;

#define THETA_INSTANTIATE(T, X)                                                                                        \
  template void ConvBlock<T>::normalise(Stream &, const Parameters<T> &, T *, const X *, const Stretch &) const;       \
  template void ConvBlock<T>::add_gradient_sums(Stream &, const Parameters<T> &, const T *, const X *,                 \
                                                const Stretch &) const;                                                \
  template void ConvBlock<T>::norm_gradient(Stream &, const Parameters<T> &, T *, const T *, const X *,                \
                                            const Stretch &) const;
THETA_INSTANTIATE(float, float)
THETA_INSTANTIATE(float, bf16)
THETA_INSTANTIATE(double, double)

} // namespace theta
