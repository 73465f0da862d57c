#include "cnn1d.h"
#include "kernels/operations/add.h"
#include <algorithm>

namespace theta {

template <class T> Cnn1d<T>::Cnn1d(const Cnn1dShape &shape) : shape_(shape) {
  const auto &channels = shape.channels;
  const int n = int(channels.size()) - 1;
  bool mirrored = n >= 2 && n % 2 == 0 && channels.front() == 1;
  for (int i = 0; mirrored && i <= n; ++i)
    mirrored = channels[std::size_t(i)] == channels[std::size_t(n - i)];
  if (!mirrored)
    throw InputError(
        "cnn1d: channels: expected an odd number of widths that begins with 1 and reads the same backwards");
  if (shape.time_width < 2 || shape.time_width % 2 != 0)
    throw InputError("cnn1d: time_width: found ", shape.time_width, ", expected an even number");
  time_weight_ = parameters_.add("t.0.weight", {shape.latent, shape.time_width}, default_start(shape.time_width));
  time_bias_ = parameters_.add("t.0.bias", {shape.latent}, default_start(shape.time_width));
  time_out_.emplace(parameters_, "t.2", shape.latent, shape.latent, shape.arithmetic);
  for (int i = 0; i < n; ++i) {
    const bool last = i == n - 1;
    blocks_.emplace_back(parameters_, buffers_, text("conv.", i), last ? "" : text("bn.", i),
                         ConvBlockShape{channels[std::size_t(i)], channels[std::size_t(i + 1)], shape.latent,
                                        shape.kernel, 1, false, last ? Activation::none : Activation::elu,
                                        shape.arithmetic});
  }
}

template <class T> int Cnn1d<T>::skip_of(int i) const {
  const int n = layers();
  return i >= n / 2 && i < n - 1 ? n - 2 - i : -1;
}

template <class T> Tensor<T> Cnn1d<T>::reserve(MemoryPlan &plan, const std::string &name, int channels) const {
  return plan.reserve<T>("denoiser." + name, MemoryClass::activations, {batch_, channels, shape_.latent}, "batch");
}

template <class T> void Cnn1d<T>::plan(MemoryPlan &plan, Backend backend, Mode mode, int batch) {
  batch_ = batch;
  const int n = layers();
  const auto channels = [&](int i) { return shape_.channels[std::size_t(i)]; };
  std::size_t workspace = 1;
  for (const auto &block : blocks_)
    workspace = std::max(workspace, block.workspace(backend, batch));
  workspace_ = plan.reserve<T>("denoiser.workspace", MemoryClass::workspace, {std::int64_t(workspace)});
  for (auto &block : blocks_)
    block.work_in(workspace_);
  time_pre_ = reserve(plan, "time.pre", 1);
  time_act_ = reserve(plan, "time.act", 1);
  time_ = reserve(plan, "time", 1);
  inputs_.assign(std::size_t(n), {}), outputs_ = d_inputs_ = d_outputs_ = inputs_;

  for (int i = 0; i < n; ++i) {
    inputs_[i] = reserve(plan, text("in.", i), channels(i));
    // The output before it has been read, unless a mirrored layer still waits for it.
    if (i > 0 && i - 1 >= n / 2 - 1)
      plan.release(outputs_[i - 1]);
    blocks_[i].plan_forward(plan, text("denoiser.conv.", i), batch, mode);
    outputs_[i] = reserve(plan, text("out.", i), channels(i + 1));
    if (skip_of(i) >= 0)
      plan.release(outputs_[skip_of(i)]);
    if (mode == Mode::infer)
      plan.release(inputs_[i]);
  }
  if (mode == Mode::infer)
    return;

  d_time_ = reserve(plan, "d_time", 1);
  d_pre_ = reserve(plan, "d_pre", *std::max_element(shape_.channels.begin(), shape_.channels.end()));
  d_outputs_[n - 1] = reserve(plan, text("d_out.", n - 1), channels(n));
  for (int i = n; i-- > 0;) {
    d_inputs_[i] = reserve(plan, text("d_in.", i), channels(i));
    blocks_[i].plan_backward_done(plan);
    plan.release(inputs_[i]);
    if (i > 0)
      d_outputs_[i - 1] = d_inputs_[i]; // x + t: the same gradient for both
    if (skip_of(i) < 0)                 // nobody else waits for it
      plan.release(d_outputs_[i]);
    for (int j = i + 1; j < n; ++j)
      if (skip_of(j) == i)
        plan.release(d_outputs_[j]);
  }
  d_time_act_ = reserve(plan, "d_time.act", 1);
}

template <class T> const T *Cnn1d<T>::forward(Stream &s, const Parameters<T> &p, const T *z, const T *e, Mode mode) {
  const int width = shape_.latent;
  const BiasAct silu{1, batch_, width, 0, Activation::silu};
  linear_forward<T>(s, time_pre_, e, p.value + time_weight_, nullptr, batch_, shape_.time_width, width,
                    shape_.arithmetic);
  bias_act_forward<T>(s, time_act_, time_pre_, p.value + time_bias_, silu);
  time_out_->forward(s, p, time_.get(), time_act_, batch_);
  const T *x = z;
  for (int i = 0; i < layers(); ++i) {
    const int channels = shape_.channels[std::size_t(i)], out_channels = shape_.channels[std::size_t(i + 1)];
    add_over_channels<T>(s, inputs_[i], x, time_, batch_, channels, width);
    blocks_[i].forward(s, p, outputs_[i], inputs_[i], mode);
    if (skip_of(i) >= 0)
      add_scaled<T>(s, outputs_[i], outputs_[i], outputs_[skip_of(i)], 1, std::size_t(batch_) * out_channels * width);
    x = outputs_[i];
  }
  return x;
}

template <class T> void Cnn1d<T>::backward(Stream &s, const Parameters<T> &p, const T *e) {
  const int width = shape_.latent;
  fill_zero(s, d_time_, std::size_t(batch_) * width * sizeof(T));
  for (int i = layers(); i-- > 0;) {
    for (int j = i + 1; j < layers(); ++j) // the mirrored layer's output is this one's plus its own
      if (skip_of(j) == i)
        add_scaled<T>(s, d_outputs_[i], d_outputs_[i], d_outputs_[j], 1,
                      std::size_t(batch_) * shape_.channels[std::size_t(i + 1)] * width);
    blocks_[i].backward(s, p, d_inputs_[i], d_pre_, d_outputs_[i], inputs_[i]);
    sum_over_channels_accumulate<T>(s, d_time_, d_inputs_[i], batch_, shape_.channels[std::size_t(i)], width);
  }
  time_out_->backward(s, p, d_time_act_, d_time_.get(), time_act_, batch_);
  const BiasAct silu{1, batch_, width, 0, Activation::silu};
  bias_act_backward<T>(s, d_time_act_, p.gradient_of(time_bias_), d_time_act_, time_pre_, p.value + time_bias_, silu);
  linear_backward<T>(s, nullptr, p.gradient_of(time_weight_), d_time_act_, e, p.value + time_weight_, batch_,
                     shape_.time_width, width, shape_.arithmetic);
}

template class Cnn1d<float>;
template class Cnn1d<double>;

} // namespace theta
