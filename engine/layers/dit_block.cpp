#include "dit_block.h"
#include "kernels/operations/add.h"
#include "kernels/operations/gather.h"

namespace theta {

template <class T> DitBlock<T>::DitBlock(Layout &layout, const std::string &name, const DitBlockShape &s) : shape_(s) {
  if (s.attends) {
    qkv_.emplace(layout, name + "qkv", s.width, 3 * s.width, s.arithmetic);
    proj_.emplace(layout, name + "proj", s.width, s.width, s.arithmetic);
  } else if (s.tokens != 1 || s.qk_norm) {
    throw InputError("transformer: found ", s.tokens, " tokens that do not attend to one another, expected one");
  }
  fc1_.emplace(layout, name + "fc1", s.width, s.expansion * s.width, s.arithmetic);
  fc2_.emplace(layout, name + "fc2", s.expansion * s.width, s.width, s.arithmetic);
  if (s.conditioned) {
    ada_.emplace(layout, name + "ada", s.width, parts() * s.width, s.arithmetic, Linear::Begin::zero);
    ada_bias_ = ada_->bias();
  } else {
    ada_bias_ = layout.add(name + "ada.bias", {parts() * s.width}, {});
  }
  if (s.heads < 1 || s.width % s.heads != 0)
    throw InputError("transformer: heads: found ", s.heads, ", expected a divisor of its width, ", s.width);
  if (s.qk_norm)
    qk_gain_ = layout.add(name + "qk_gain", {2, s.width / s.heads}, {1, 0});
}

template <class T> Modulation DitBlock<T>::modulation() const {
  return {batch_, shape_.tokens, shape_.width, std::size_t(parts()) * shape_.width};
}

template <class T>
template <class E>
void DitBlock<T>::reserve(MemoryPlan &plan, Tensor<E> &t, const char *what, std::int64_t width,
                          std::int64_t rows) const {
  t = plan.reserve<E>(name_ + what, MemoryClass::activations, {rows, width}, "batch");
}

template <class T> void DitBlock<T>::plan_forward(MemoryPlan &plan, const std::string &name, int batch, Mode mode) {
  name_ = name, batch_ = batch;
  const std::int64_t d = shape_.width, n = rows(), hidden = d * shape_.expansion;
  reserve(plan, conditions_, "conditions", parts() * d, batch);
  if (shape_.attends) {
    reserve(plan, mean1_, "mean1", 1, n), reserve(plan, rstd1_, "rstd1", 1, n);
    reserve(plan, normal1_, "normal1", d, n), reserve(plan, qkv_out_, "qkv", 3 * d, n);
    if (shape_.qk_norm)
      reserve(plan, qkv_raw_, "qkv_raw", 3 * d, n), reserve(plan, qk_rstd_, "qk_rstd", 2 * shape_.heads, n);
    reserve(plan, log_sum_, "log_sum", 1, n * shape_.heads), reserve(plan, attended_, "attended", d, n);
    reserve(plan, branch1_, "branch1", d, n), reserve(plan, middle_, "middle", d, n);
  }
  reserve(plan, mean2_, "mean2", 1, n), reserve(plan, rstd2_, "rstd2", 1, n);
  reserve(plan, normal2_, "normal2", d, n), reserve(plan, hidden_, "hidden", hidden, n);
  reserve(plan, active_, "active", hidden, n), reserve(plan, branch2_, "branch2", d, n);
  reserve(plan, out_, "out", d, n);
  if (mode == Mode::infer)
    plan.release(conditions_, mean1_, rstd1_, normal1_, qkv_out_, qkv_raw_, qk_rstd_, log_sum_, attended_, branch1_,
                 middle_, mean2_, rstd2_, normal2_, hidden_, active_, branch2_);
}

template <class T> void DitBlock<T>::plan_backward(MemoryPlan &plan) {
  const std::int64_t d = shape_.width, n = rows(), hidden = d * shape_.expansion;
  reserve(plan, d_conditions_, "d_conditions", parts() * d, batch_), reserve(plan, d_branch_, "d_branch", d, n);
  reserve(plan, d_hidden_, "d_hidden", hidden, n), reserve(plan, d_normal_, "d_normal", d, n);
  plan.release(branch2_, active_, hidden_, normal2_, d_hidden_, out_);
  if (shape_.attends) {
    reserve(plan, d_attended_, "d_attended", d, n), reserve(plan, d_qkv_, "d_qkv", 3 * d, n);
    reserve(plan, through_, "through", 1, n * shape_.heads);
  }
  reserve(plan, d_silu_, "d_silu", d, batch_);
  plan.release(middle_, mean2_, rstd2_, branch1_, attended_, log_sum_, qkv_out_, qkv_raw_, qk_rstd_, normal1_, mean1_,
               rstd1_, conditions_, d_conditions_, d_branch_, d_normal_, d_attended_, d_qkv_, through_, d_silu_);
}

// The attention's branch, added to x.
template <class T> auto DitBlock<T>::attend(Stream &s, const Parameters<W> &p, const W *x) -> W * {
  const Modulation m = modulation();
  const T *value = p.template value_as<T>();
  modulate_forward<T>(s, normal1_, mean1_, rstd1_, x, part(conditions_, 0), part(conditions_, 1), m);
  if (shape_.qk_norm) {
    qkv_->template product<T>(s, p, qkv_raw_, normal1_, rows());
    head_norm_forward<T>(s, qkv_out_, qk_rstd_, qkv_raw_, value + qkv_->bias(), value + qk_gain_, head_norm());
  } else {
    qkv_->template forward<T>(s, p, qkv_out_, normal1_, rows());
  }
  attention_forward<T>(s, attended_, log_sum_, qkv_out_, nullptr, attention());
  proj_->template forward<T>(s, p, branch1_, attended_, rows());
  gate_forward<T>(s, middle_, x, branch1_, part(conditions_, 2), m);
  return middle_;
}

template <class T> void DitBlock<T>::attend_backward(Stream &s, const Parameters<W> &p, W *dx, const W *x) {
  const Modulation m = modulation();
  const T *value = p.template value_as<T>();
  gate_backward<T>(s, d_branch_, part(d_conditions_, 2), dx, branch1_, part(conditions_, 2), m);
  proj_->template backward<T>(s, p, d_attended_, d_branch_, attended_, rows());
  attention_backward<T>(s, d_qkv_, d_attended_, attended_, log_sum_, qkv_out_, nullptr, through_, attention());
  if (shape_.qk_norm) {
    head_norm_backward<T>(s, d_qkv_, p.gradient_of(qk_gain_), p.gradient_of(qkv_->bias()), qkv_raw_,
                          value + qkv_->bias(), value + qk_gain_, qk_rstd_, head_norm());
    qkv_->template product_backward<T>(s, p, d_normal_, d_qkv_, normal1_, rows());
  } else {
    qkv_->template backward<T>(s, p, d_normal_, d_qkv_, normal1_, rows());
  }
  modulate_backward_accumulate<T>(s, dx, part(d_conditions_, 0), part(d_conditions_, 1), d_normal_, x, mean1_, rstd1_,
                                  part(conditions_, 1), m);
}

template <class T> auto DitBlock<T>::forward(Stream &s, const Parameters<W> &p, const W *x, const W *silu_c) -> W * {
  const Modulation m = modulation();
  if (ada_)
    ada_->template forward<W>(s, p, conditions_, silu_c, batch_);
  else
    copy_rows<W>(s, conditions_, m.step, p.value + ada_bias_, 0, batch_, m.step);
  const W *middle = shape_.attends ? attend(s, p, x) : x;
  modulate_forward<T>(s, normal2_, mean2_, rstd2_, middle, part(conditions_, 3), part(conditions_, 4), m);
  fc1_->template gelu_forward<T>(s, p, active_, hidden_, normal2_, rows());
  fc2_->template forward<T>(s, p, branch2_, active_, rows());
  gate_forward<T>(s, out_, middle, branch2_, part(conditions_, 5), m);
  return out_;
}

template <class T>
void DitBlock<T>::backward_accumulate(Stream &s, const Parameters<W> &p, W *dx, W *d_silu_c, const W *x,
                                      const W *silu_c) {
  const Modulation m = modulation();
  const W *middle = shape_.attends ? middle_.get() : x;
  gate_backward<T>(s, d_branch_, part(d_conditions_, 5), dx, branch2_, part(conditions_, 5), m);
  fc1_->template gelu_backward_from<T>(s, p, *fc2_, d_hidden_, d_branch_, active_, hidden_, rows());
  fc1_->template product_backward<T>(s, p, d_normal_, d_hidden_, normal2_, rows());
  modulate_backward_accumulate<T>(s, dx, part(d_conditions_, 3), part(d_conditions_, 4), d_normal_, middle, mean2_,
                                  rstd2_, part(conditions_, 4), m);
  if (shape_.attends)
    attend_backward(s, p, dx, x);
  if (!ada_)
    return channel_sum<W>(s, p.gradient_of(ada_bias_), d_conditions_, batch_, int(m.step), 1);
  ada_->template backward<W>(s, p, d_silu_, d_conditions_, silu_c, batch_);
  add_scaled<W>(s, d_silu_c, d_silu_c, d_silu_, 1, std::size_t(batch_) * shape_.width);
}

template class DitBlock<float>;
template class DitBlock<bf16>;
template class DitBlock<double>;

} // namespace theta
