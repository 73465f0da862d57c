#include "conv_block.h"
#include "kernels/reduce.h"

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

template <class T> Conv1d ConvBlock<T>::conv() const {
  const int padding = shape_.kernel / 2;
  if (!shape_.transposed)
    return {batch_,  shape_.in_channels, shape_.out_channels, shape_.in_length, shape_.kernel, shape_.stride,
            padding, shape_.arithmetic};
  return {
      batch_,  shape_.out_channels, shape_.in_channels, shape_.in_length * shape_.stride, shape_.kernel, shape_.stride,
      padding, shape_.arithmetic};
}

template <class T> int ConvBlock<T>::out_length() const {
  return shape_.transposed ? shape_.in_length * shape_.stride : conv().out_length();
}

template <class T> BatchNorm ConvBlock<T>::norm() const {
  return {batch_, shape_.out_channels, out_length(), shape_.act};
}

template <class T> std::size_t ConvBlock<T>::workspace(Backend backend, int batch) const {
  Conv1d p = conv();
  p.batch = batch;
  return conv1d_workspace(backend, p);
}

template <class T> void ConvBlock<T>::plan_forward(MemoryPlan &plan, const std::string &name, int batch, Mode mode) {
  batch_ = batch;
  if (!has_norm_ || mode == Mode::infer)
    return;
  const std::int64_t channels = shape_.out_channels;
  pre_slot_ = plan.reserve<T>(name + ".pre", MemoryClass::activations, {batch, channels, out_length()}, "batch");
  mean_slot_ = plan.reserve<T>(name + ".mean", MemoryClass::activations, {channels});
  rstd_slot_ = plan.reserve<T>(name + ".rstd", MemoryClass::activations, {channels});
}

template <class T> void ConvBlock<T>::plan_backward_done(MemoryPlan &plan) {
  for (const Slot slot : {pre_slot_, mean_slot_, rstd_slot_})
    if (slot)
      plan.release(slot);
}

template <class T> void ConvBlock<T>::bind(const Arena &arena, T *workspace) {
  workspace_ = workspace;
  if (pre_slot_)
    pre_ = arena.at<T>(pre_slot_), mean_ = arena.at<T>(mean_slot_), rstd_ = arena.at<T>(rstd_slot_);
}

template <class T> void ConvBlock<T>::forward(Stream &s, const Parameters<T> &p, T *out, const T *x, Mode mode) const {
  T *pre = has_norm_ && mode == Mode::train ? pre_ : out;
  if (shape_.transposed)
    conv_transpose1d_forward<T>(s, pre, x, p.value + weight_, p.value + bias_, workspace_, conv());
  else
    conv1d_forward<T>(s, pre, x, p.value + weight_, p.value + bias_, workspace_, conv());
  if (!has_norm_)
    return;
  T *mean = p.buffer + running_mean_, *var = p.buffer + running_var_;
  if (mode == Mode::train)
    batchnorm_forward<T>(s, out, mean_, rstd_, mean, var, pre, p.value + gamma_, p.value + beta_, norm());
  else
    batchnorm_infer<T>(s, out, pre, mean, var, p.value + gamma_, p.value + beta_, norm());
}

template <class T> void ConvBlock<T>::again(Stream &s, const Parameters<T> &p, T *out) const {
  batchnorm_again<T>(s, out, pre_, mean_, rstd_, p.value + gamma_, p.value + beta_, norm());
}

template <class T>
void ConvBlock<T>::backward(Stream &s, const Parameters<T> &p, T *dx, T *d_pre, const T *d_out, const T *x) const {
  const T *d = d_out;
  if (has_norm_) {
    batchnorm_backward<T>(s, d_pre, p.gradient + gamma_, p.gradient + beta_, d_out, pre_, mean_, rstd_,
                          p.value + gamma_, p.value + beta_, norm());
    d = d_pre;
  }
  channel_sum<T>(s, p.gradient + bias_, d, batch_, shape_.out_channels, out_length());
  if (shape_.transposed) {
    conv_transpose1d_backward_weight<T>(s, p.gradient + weight_, d, x, workspace_, conv());
    if (dx)
      conv_transpose1d_backward_data<T>(s, dx, d, p.value + weight_, workspace_, conv());
  } else {
    conv1d_backward_weight<T>(s, p.gradient + weight_, d, x, workspace_, conv());
    if (dx)
      conv1d_backward_data<T>(s, dx, d, p.value + weight_, nullptr, workspace_, conv());
  }
}

template class ConvBlock<float>;
template class ConvBlock<double>;

} // namespace theta
