#include "tellers.h"
#include "kernels/operations/add.h"
#include "kernels/operations/features.h"
#include "kernels/operations/gather.h"

namespace theta {

namespace {

template <class T> Tensor<T> reserve(MemoryPlan &plan, const std::string &what, int batch, int width) {
  return plan.reserve<T>("transformer." + what, MemoryClass::activations, {batch, width}, "batch");
}

} // namespace

template <class T>
Tellers<T>::Tellers(Layout &layout, int width, int features, const std::vector<ConditionShape> &conditions,
                    ConditionWay way, Arithmetic arithmetic, int context)
    : width_(width), features_(features) {
  tellers_.push_back({{"time", 0}, Linear(layout, "time.0", features, width, arithmetic)});
  for (const ConditionShape &c : conditions)
    tellers_.push_back(
        {c, Linear(layout, "conditions." + c.name, c.classes > 0 ? c.classes : features, width, arithmetic)});
  if (context > 0)
    context_.emplace(layout, "context", context, width, arithmetic);
  if (way == ConditionWay::modulation)
    time2_.emplace(layout, "time.2", width, width, arithmetic);
}

template <class T> void Tellers<T>::plan_forward(MemoryPlan &plan, int batch) {
  batch_ = batch;
  for (Teller &t : tellers_) {
    t.features = reserve<T>(plan, t.shape.name + ".features", batch, t.linear.in());
    if (in_tokens() || &t != &tellers_.front())
      t.h = reserve<T>(plan, t.shape.name + ".h", batch, width_);
  }
  if (in_tokens())
    return;
  if (context_)
    context_h_ = reserve<T>(plan, "context.h", batch, width_);
  time_pre_ = reserve<T>(plan, "time.pre", batch, width_), time_act_ = reserve<T>(plan, "time.act", batch, width_);
  condition_ = reserve<T>(plan, "condition", batch, width_), silu_ = reserve<T>(plan, "silu", batch, width_);
}

template <class T> void Tellers<T>::plan_backward(MemoryPlan &plan) {
  d_time_ = reserve<T>(plan, "d_time", batch_, width_);
  if (!in_tokens())
    d_silu_ = reserve<T>(plan, "d_silu", batch_, width_);
  if (context_)
    d_context_ = reserve<T>(plan, "d_context", batch_, context_->in());
}

template <class T>
void Tellers<T>::forward(Stream &s, const Parameters<T> &p, const T *time, const T *conditions, const T *context, T *h,
                         std::size_t row) const {
  const auto width = std::size_t(width_);
  for (std::size_t k = 0; k < tellers_.size(); ++k) {
    const Teller &t = tellers_[k];
    const T *values = k == 0 ? time : conditions + (k - 1) * std::size_t(batch_);
    if (t.shape.classes > 0)
      label_features<T>(s, t.features, values, batch_, t.shape.classes);
    else
      number_features<T>(s, t.features, values, batch_, features_);
    if (in_tokens()) {
      t.linear.forward(s, p, t.h.get(), t.features, batch_);
      copy_rows<T>(s, h + k * width, row, t.h, width, batch_, width);
    } else if (k == 0) {
      t.linear.product(s, p, time_pre_.get(), t.features, batch_);
    } else {
      t.linear.forward(s, p, t.h.get(), t.features, batch_);
      add_scaled<T>(s, time_pre_, time_pre_, t.h, 1, std::size_t(batch_) * width);
    }
  }
  if (in_tokens())
    return;
  if (context_) {
    context_->forward(s, p, context_h_.get(), context, batch_);
    add_scaled<T>(s, time_pre_, time_pre_, context_h_, 1, std::size_t(batch_) * width);
  }
  bias_act_forward<T>(s, time_act_, time_pre_, p.value + tellers_[0].linear.bias(), silu_act());
  time2_->product(s, p, condition_.get(), time_act_, batch_);
  bias_act_forward<T>(s, silu_, condition_, p.value + time2_->bias(), silu_act());
}

template <class T>
void Tellers<T>::backward(Stream &s, const Parameters<T> &p, const T *context, const T *d_h, std::size_t row) const {
  const auto width = std::size_t(width_);
  if (!in_tokens()) {
    bias_act_backward<T>(s, d_silu_, p.gradient_of(time2_->bias()), d_silu_, condition_, p.value + time2_->bias(),
                         silu_act());
    time2_->product_backward(s, p, d_time_, d_silu_.get(), time_act_, batch_);
    bias_act_backward<T>(s, d_time_, p.gradient_of(tellers_[0].linear.bias()), d_time_, time_pre_,
                         p.value + tellers_[0].linear.bias(), silu_act());
  }
  if (context_)
    context_->backward(s, p, d_context_, d_time_.get(), context, batch_);
  for (std::size_t k = 0; k < tellers_.size(); ++k) {
    const Teller &t = tellers_[k];
    if (in_tokens())
      copy_rows<T>(s, d_time_, width, d_h + k * width, row, batch_, width);
    if (in_tokens() || k > 0)
      t.linear.backward(s, p, nullptr, d_time_.get(), t.features, batch_);
    else // its bias has its gradient from the activation
      t.linear.product_backward(s, p, nullptr, d_time_.get(), t.features, batch_);
  }
}

template class Tellers<float>;
template class Tellers<double>;

} // namespace theta
