#include "weight_transformer.h"
#include "kernels/add.h"
#include "kernels/flow.h"

namespace theta {

template <class T> WeightTransformer<T>::WeightTransformer(const WeightTransformerShape &shape) : shape_(shape) {
  const int d = shape.width;
  if (shape.types.empty() || shape.features < 4 || shape.features % 2 != 0)
    throw InputError("transformer: found ", shape.types.size(), " types of tokens and ", shape.features,
                     " features of time, expected a type and an even number of features from 4 on");
  std::size_t token = 0;
  for (std::size_t k = 0; k < shape.types.size(); ++k) {
    const TokenType &type = shape.types[k];
    const std::string name = text("types.", k);
    coders_.push_back({type,
                       size_,
                       token,
                       Linear(parameters_, name + ".encode", type.width, d, shape.arithmetic),
                       Linear(parameters_, name + ".decode", d, type.width, shape.arithmetic, Linear::Begin::zero),
                       {},
                       {},
                       {},
                       {},
                       {},
                       {}});
    if (!type.exchangeable && type.count > 1)
      coders_.back().places = parameters_.add(name + ".places", {type.count, d}, {0, 0.02});
    size_ += type.size(), token += std::size_t(type.count);
  }
  time0_.emplace(parameters_, "time.0", shape.features, d, shape.arithmetic);
  time2_.emplace(parameters_, "time.2", d, d, shape.arithmetic);
  for (int i = 0; i < shape.layers; ++i)
    blocks_.emplace_back(parameters_, text("blocks.", i, "."),
                         DitBlockShape{d, shape.heads, tokens(), 4, shape.arithmetic});
  final_.emplace(parameters_, "final", d, 2 * d, shape.arithmetic, Linear::Begin::zero);
}

template <class T> int WeightTransformer<T>::tokens() const {
  int n = 0;
  for (const TokenType &type : shape_.types)
    n += type.count;
  return n;
}

template <class T>
auto WeightTransformer<T>::reserve(MemoryPlan &plan, const std::string &what, std::int64_t rows,
                                   std::int64_t width) const -> Tensor {
  return {plan.reserve<T>("transformer." + what, MemoryClass::activations, {rows, width}, "fit.transformer.batch")};
}

template <class T> void WeightTransformer<T>::plan(MemoryPlan &plan, int batch, Mode mode) {
  *this = WeightTransformer(shape_); // forgets an earlier plan
  batch_ = batch;
  const std::int64_t d = shape_.width, n = std::int64_t(batch) * tokens(), b = batch;
  features_ = reserve(plan, "features", b, shape_.features), time_pre_ = reserve(plan, "time.pre", b, d);
  time_act_ = reserve(plan, "time.act", b, d), condition_ = reserve(plan, "condition", b, d);
  silu_ = reserve(plan, "silu", b, d), h_ = reserve(plan, "h", n, d);
  for (std::size_t k = 0; k < coders_.size(); ++k) {
    Coder &c = coders_[k];
    const std::int64_t rows = b * c.type.count;
    c.x = reserve(plan, text("types.", k, ".x"), rows, c.type.width),
    c.h = reserve(plan, text("types.", k, ".h"), rows, d);
    c.y = reserve(plan, text("types.", k, ".y"), rows, c.type.width);
  }
  conditions_ = reserve(plan, "conditions", b, 2 * d), mean_ = reserve(plan, "mean", n, 1);
  rstd_ = reserve(plan, "rstd", n, 1), normal_ = reserve(plan, "normal", n, d);
  out_ = reserve(plan, "out", b, std::int64_t(size_));
  for (std::size_t i = 0; i < blocks_.size(); ++i)
    blocks_[i].plan_forward(plan, text("blocks.", i, "."), batch, mode);
  if (mode == Mode::infer)
    return;
  d_out_ = reserve(plan, "d_out", b, std::int64_t(size_)), d_normal_ = reserve(plan, "d_normal", n, d);
  d_h_ = reserve(plan, "d_h", n, d), d_conditions_ = reserve(plan, "d_conditions", b, 2 * d);
  d_silu_ = reserve(plan, "d_silu", b, d), d_time_ = reserve(plan, "d_time", b, d);
  for (std::size_t k = 0; k < coders_.size(); ++k) {
    Coder &c = coders_[k];
    c.d_x = reserve(plan, text("types.", k, ".d_y"), b * c.type.count, c.type.width);
    c.d_h = reserve(plan, text("types.", k, ".d_h"), b * c.type.count, d);
  }
  for (std::size_t i = blocks_.size(); i-- > 0;)
    blocks_[i].plan_backward(plan);
}

template <class T> void WeightTransformer<T>::bind(const Arena &arena) {
  const auto bind = [&](Tensor &t) {
    if (t.slot)
      t.at = arena.at<T>(t.slot);
  };
  for (Tensor *t : {&features_, &time_pre_, &time_act_, &condition_, &silu_, &h_, &conditions_, &mean_, &rstd_,
                    &normal_, &out_, &d_out_, &d_normal_, &d_h_, &d_conditions_, &d_silu_, &d_time_})
    bind(*t);
  for (Coder &c : coders_)
    for (Tensor *t : {&c.x, &c.h, &c.y, &c.d_x, &c.d_h})
      bind(*t);
  for (auto &block : blocks_)
    block.bind(arena);
}

template <class T> const T *WeightTransformer<T>::forward(Stream &s, const Parameters<T> &p, const T *x, const T *t) {
  const int d = shape_.width;
  const std::size_t row = std::size_t(tokens()) * std::size_t(d);
  const auto constant = [](const Tensor &of) -> const T * { return of.at; };
  time_features<T>(s, features_, t, batch_, shape_.features);
  time0_->product(s, p, time_pre_.at, constant(features_), batch_);
  bias_act_forward<T>(s, time_act_, time_pre_, p.value + time0_->bias(), silu(d));
  time2_->product(s, p, condition_.at, constant(time_act_), batch_);
  bias_act_forward<T>(s, silu_, condition_, p.value + time2_->bias(), silu(d));
  for (const Coder &c : coders_) {
    const std::size_t part = std::size_t(c.type.count) * std::size_t(d);
    copy_rows<T>(s, c.x, c.type.size(), x + c.offset, size_, batch_, c.type.size());
    c.encode.forward(s, p, c.h.at, constant(c.x), batch_ * c.type.count);
    if (c.places)
      add_over_channels<T>(s, c.h, c.h, p.value + *c.places, 1, batch_, int(part));
    copy_rows<T>(s, h_ + c.token * std::size_t(d), row, c.h, part, batch_, part);
  }
  inputs_ = {h_.at};
  for (auto &block : blocks_)
    inputs_.push_back(block.forward(s, p, inputs_.back(), silu_));
  final_->forward(s, p, conditions_.at, constant(silu_), batch_);
  modulate_forward<T>(s, normal_, mean_, rstd_, inputs_.back(), conditions_.at, conditions_.at + d,
                      {batch_, tokens(), d, std::size_t(2 * d)});
  for (const Coder &c : coders_) {
    const std::size_t part = std::size_t(c.type.count) * std::size_t(d);
    copy_rows<T>(s, c.h, part, normal_ + c.token * std::size_t(d), row, batch_, part);
    c.decode.forward(s, p, c.y.at, constant(c.h), batch_ * c.type.count);
    copy_rows<T>(s, out_ + c.offset, size_, c.y, c.type.size(), batch_, c.type.size());
  }
  return out_;
}

// c.h holds what the decoder read: forward leaves it there.
template <class T> void WeightTransformer<T>::backward(Stream &s, const Parameters<T> &p) {
  const int d = shape_.width;
  const std::size_t row = std::size_t(tokens()) * std::size_t(d), sample = std::size_t(batch_) * std::size_t(d);
  const auto constant = [](const Tensor &of) -> const T * { return of.at; };
  for (const Coder &c : coders_) {
    const std::size_t part = std::size_t(c.type.count) * std::size_t(d);
    copy_rows<T>(s, c.d_x, c.type.size(), d_out_ + c.offset, size_, batch_, c.type.size());
    c.decode.backward(s, p, c.d_h.at, constant(c.d_x), constant(c.h), batch_ * c.type.count);
    copy_rows<T>(s, d_normal_ + c.token * std::size_t(d), row, c.d_h, part, batch_, part);
  }
  fill_zero(s, d_h_, sample * std::size_t(tokens()) * sizeof(T));
  modulate_backward_accumulate<T>(s, d_h_, d_conditions_.at, d_conditions_.at + d, d_normal_, inputs_.back(), mean_,
                                  rstd_, conditions_.at + d, {batch_, tokens(), d, std::size_t(2 * d)});
  final_->backward(s, p, d_silu_.at, constant(d_conditions_), constant(silu_), batch_);
  for (std::size_t i = blocks_.size(); i-- > 0;)
    blocks_[i].backward_accumulate(s, p, d_h_, d_silu_, inputs_[i], silu_);
  bias_act_backward<T>(s, d_silu_, p.gradient_of(time2_->bias()), d_silu_, condition_, p.value + time2_->bias(),
                       silu(d));
  time2_->product_backward(s, p, d_time_.at, constant(d_silu_), constant(time_act_), batch_);
  bias_act_backward<T>(s, d_time_, p.gradient_of(time0_->bias()), d_time_, time_pre_, p.value + time0_->bias(),
                       silu(d));
  time0_->product_backward(s, p, static_cast<T *>(nullptr), constant(d_time_), constant(features_), batch_);
  for (const Coder &c : coders_) {
    const std::size_t part = std::size_t(c.type.count) * std::size_t(d);
    copy_rows<T>(s, c.d_h, part, d_h_ + c.token * std::size_t(d), row, batch_, part);
    if (c.places)
      sum_over_channels_accumulate<T>(s, p.gradient_of(*c.places), c.d_h, 1, batch_, int(part));
    c.encode.backward(s, p, static_cast<T *>(nullptr), constant(c.d_h), constant(c.x), batch_ * c.type.count);
  }
}

template class WeightTransformer<float>;
template class WeightTransformer<double>;

} // namespace theta
