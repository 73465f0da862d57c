#include "dit_block.h"
#include "kernels/add.h"
#include "kernels/noising.h"

namespace theta {

template <class T>
DitBlock<T>::DitBlock(Layout &layout, const std::string &name, const DitBlockShape &s)
    : shape_(s), qkv_(layout, name + "qkv", s.width, 3 * s.width, s.arithmetic),
      proj_(layout, name + "proj", s.width, s.width, s.arithmetic),
      fc1_(layout, name + "fc1", s.width, s.expansion * s.width, s.arithmetic),
      fc2_(layout, name + "fc2", s.expansion * s.width, s.width, s.arithmetic) {
  if (s.conditioned) {
    ada_.emplace(layout, name + "ada", s.width, 6 * s.width, s.arithmetic, Linear::Begin::zero);
    ada_bias_ = ada_->bias();
  } else {
    ada_bias_ = layout.add(name + "ada.bias", {6 * s.width}, {});
  }
  if (s.heads < 1 || s.width % s.heads != 0)
    throw InputError("transformer: heads: found ", s.heads, ", expected a divisor of its width, ", s.width);
  if (s.qk_norm)
    qk_gain_ = layout.add(name + "qk_gain", {2, s.width / s.heads}, {1, 0});
}

template <class T> Modulation DitBlock<T>::modulation() const {
  return {batch_, shape_.tokens, shape_.width, std::size_t(6) * shape_.width};
}

template <class T>
auto DitBlock<T>::reserve(MemoryPlan &plan, const char *what, std::int64_t width, std::int64_t rows) const -> Tensor {
  return {plan.reserve<T>(name_ + what, MemoryClass::activations, {rows, width}, "fit.transformer.batch")};
}

template <class T> void DitBlock<T>::plan_forward(MemoryPlan &plan, const std::string &name, int batch, Mode mode) {
  name_ = name, batch_ = batch;
  const std::int64_t d = shape_.width, n = rows(), hidden = d * shape_.expansion;
  conditions_ = reserve(plan, "conditions", 6 * d, batch);
  mean1_ = reserve(plan, "mean1", 1, n), rstd1_ = reserve(plan, "rstd1", 1, n);
  normal1_ = reserve(plan, "normal1", d, n), qkv_out_ = reserve(plan, "qkv", 3 * d, n);
  if (shape_.qk_norm)
    qkv_raw_ = reserve(plan, "qkv_raw", 3 * d, n), qk_rstd_ = reserve(plan, "qk_rstd", 2 * shape_.heads, n);
  log_sum_ = reserve(plan, "log_sum", 1, n * shape_.heads), attended_ = reserve(plan, "attended", d, n);
  branch1_ = reserve(plan, "branch1", d, n), middle_ = reserve(plan, "middle", d, n);
  mean2_ = reserve(plan, "mean2", 1, n), rstd2_ = reserve(plan, "rstd2", 1, n);
  normal2_ = reserve(plan, "normal2", d, n), hidden_ = reserve(plan, "hidden", hidden, n);
  active_ = reserve(plan, "active", hidden, n), branch2_ = reserve(plan, "branch2", d, n);
  out_ = reserve(plan, "out", d, n);
  if (mode == Mode::infer)
    for (const Tensor *t :
         {&conditions_, &mean1_, &rstd1_, &normal1_, &qkv_out_, &qkv_raw_, &qk_rstd_, &log_sum_, &attended_, &branch1_,
          &middle_, &mean2_, &rstd2_, &normal2_, &hidden_, &active_, &branch2_})
      if (t->slot)
        plan.release(t->slot);
}

template <class T> void DitBlock<T>::plan_backward(MemoryPlan &plan) {
  const std::int64_t d = shape_.width, n = rows(), hidden = d * shape_.expansion;
  const auto release = [&](std::initializer_list<const Tensor *> done) {
    for (const Tensor *t : done)
      if (t->slot)
        plan.release(t->slot);
  };
  d_conditions_ = reserve(plan, "d_conditions", 6 * d, batch_), d_branch_ = reserve(plan, "d_branch", d, n);
  d_hidden_ = reserve(plan, "d_hidden", hidden, n), d_normal_ = reserve(plan, "d_normal", d, n);
  release({&branch2_, &active_, &hidden_, &normal2_, &d_hidden_, &out_});
  d_attended_ = reserve(plan, "d_attended", d, n), d_qkv_ = reserve(plan, "d_qkv", 3 * d, n);
  through_ = reserve(plan, "through", 1, n * shape_.heads), d_silu_ = reserve(plan, "d_silu", d, batch_);
  release({&middle_,   &mean2_,    &rstd2_,      &branch1_, &attended_, &log_sum_,    &qkv_out_,
           &qkv_raw_,  &qk_rstd_,  &normal1_,    &mean1_,   &rstd1_,    &conditions_, &d_conditions_,
           &d_branch_, &d_normal_, &d_attended_, &d_qkv_,   &through_,  &d_silu_});
}

template <class T> void DitBlock<T>::bind(const Arena &arena) {
  for (Tensor *t :
       {&qkv_raw_,  &qk_rstd_,  &conditions_, &mean1_,        &rstd1_,   &normal1_,    &qkv_out_, &log_sum_, &attended_,
        &branch1_,  &middle_,   &mean2_,      &rstd2_,        &normal2_, &hidden_,     &active_,  &branch2_, &out_,
        &d_branch_, &d_hidden_, &d_normal_,   &d_conditions_, &d_qkv_,   &d_attended_, &through_, &d_silu_})
    if (t->slot)
      t->at = arena.at<T>(t->slot);
}

template <class T> T *DitBlock<T>::forward(Stream &s, const Parameters<T> &p, const T *x, const T *silu_c) {
  const Modulation m = modulation();
  const BiasAct gelu{1, rows(), fc1_.out(), 0, Activation::gelu_tanh};
  const auto constant = [](const Tensor &t) -> const T * { return t.at; };
  if (ada_)
    ada_->forward(s, p, conditions_.at, silu_c, batch_);
  else
    copy_rows<T>(s, conditions_, m.step, p.value + ada_bias_, 0, batch_, m.step);
  modulate_forward<T>(s, normal1_, mean1_, rstd1_, x, part(conditions_, 0), part(conditions_, 1), m);
  if (shape_.qk_norm) {
    qkv_.product(s, p, qkv_raw_.at, constant(normal1_), rows());
    head_norm_forward<T>(s, qkv_out_, qk_rstd_, qkv_raw_, p.value + qkv_.bias(), p.value + qk_gain_, head_norm());
  } else {
    qkv_.forward(s, p, qkv_out_.at, constant(normal1_), rows());
  }
  attention_forward<T>(s, attended_, log_sum_, qkv_out_, nullptr, attention());
  proj_.forward(s, p, branch1_.at, constant(attended_), rows());
  gate_forward<T>(s, middle_, x, branch1_, part(conditions_, 2), m);
  modulate_forward<T>(s, normal2_, mean2_, rstd2_, middle_, part(conditions_, 3), part(conditions_, 4), m);
  fc1_.product(s, p, hidden_.at, constant(normal2_), rows());
  bias_act_forward<T>(s, active_, hidden_, p.value + fc1_.bias(), gelu);
  fc2_.forward(s, p, branch2_.at, constant(active_), rows());
  gate_forward<T>(s, out_, middle_, branch2_, part(conditions_, 5), m);
  return out_;
}

template <class T>
void DitBlock<T>::backward_accumulate(Stream &s, const Parameters<T> &p, T *dx, T *d_silu_c, const T *x,
                                      const T *silu_c) {
  const Modulation m = modulation();
  const BiasAct gelu{1, rows(), fc1_.out(), 0, Activation::gelu_tanh};
  const auto constant = [](const Tensor &t) -> const T * { return t.at; };
  gate_backward<T>(s, d_branch_, part(d_conditions_, 5), dx, branch2_, part(conditions_, 5), m);
  fc2_.backward(s, p, d_hidden_.at, constant(d_branch_), constant(active_), rows());
  bias_act_backward<T>(s, d_hidden_, p.gradient_of(fc1_.bias()), d_hidden_, hidden_, p.value + fc1_.bias(), gelu);
  fc1_.product_backward(s, p, d_normal_.at, constant(d_hidden_), constant(normal2_), rows());
  modulate_backward_accumulate<T>(s, dx, part(d_conditions_, 3), part(d_conditions_, 4), d_normal_, middle_, mean2_,
                                  rstd2_, part(conditions_, 4), m);
  gate_backward<T>(s, d_branch_, part(d_conditions_, 2), dx, branch1_, part(conditions_, 2), m);
  proj_.backward(s, p, d_attended_.at, constant(d_branch_), constant(attended_), rows());
  attention_backward<T>(s, d_qkv_, d_attended_, attended_, log_sum_, qkv_out_, nullptr, through_, attention());
  if (shape_.qk_norm) {
    head_norm_backward<T>(s, d_qkv_, p.gradient_of(qk_gain_), p.gradient_of(qkv_.bias()), qkv_raw_,
                          p.value + qkv_.bias(), p.value + qk_gain_, qk_rstd_, head_norm());
    qkv_.product_backward(s, p, d_normal_.at, constant(d_qkv_), constant(normal1_), rows());
  } else {
    qkv_.backward(s, p, d_normal_.at, constant(d_qkv_), constant(normal1_), rows());
  }
  modulate_backward_accumulate<T>(s, dx, part(d_conditions_, 0), part(d_conditions_, 1), d_normal_, x, mean1_, rstd1_,
                                  part(conditions_, 1), m);
  if (!ada_)
    return channel_sum<T>(s, p.gradient_of(ada_bias_), d_conditions_, batch_, int(m.step), 1);
  ada_->backward(s, p, d_silu_.at, constant(d_conditions_), silu_c, batch_);
  add_scaled<T>(s, d_silu_c, d_silu_c, d_silu_, 1, std::size_t(batch_) * shape_.width);
}

template class DitBlock<float>;
template class DitBlock<double>;

} // namespace theta
