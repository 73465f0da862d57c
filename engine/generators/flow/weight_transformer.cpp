#include "weight_transformer.h"
#include "kernels/operations/add.h"
#include "kernels/operations/features.h"
#include "kernels/operations/gather.h"

namespace theta {

template <class T>
auto WeightTransformer<T>::encoder(const std::string &name, const TokenType &type, std::size_t offset,
                                   std::size_t token, bool placed) -> Encoder {
  const int d = shape_.width;
  Encoder e{type, offset, token, Linear(parameters_, name + ".encode", type.width, d, shape_.arithmetic), {}, false, {},
            {},   {},     {}};
  // Alone in its type, a token is told apart by its encoder.
  if (placed && !type.exchangeable && type.count > 1) {
    e.sinusoidal = shape_.places == PlaceKind::sinusoidal;
    if (!e.sinusoidal)
      e.places = parameters_.add(name + ".places", {type.count, d}, {0, 0.02});
  }
  return e;
}

template <class T> WeightTransformer<T>::WeightTransformer(const WeightTransformerShape &shape) : shape_(shape) {
  const int d = shape.width;
  if (shape.types.empty() || shape.features < 4 || shape.features % 2 != 0)
    throw InputError("transformer: found ", shape.types.size(), " types of tokens and ", shape.features,
                     " features of time, expected a type and an even number of features from 4 on");
  const bool conditioned = shape.way == ConditionWay::modulation;
  if (shape.context > 0 && !conditioned)
    throw InputError("transformer: found a vector told by tokens, expected one told by modulation");
  std::size_t token = conditioned ? 0 : 1 + shape.conditions.size();
  if (shape.start) { // in front of the network, or added to it
    std::size_t offset = 0, at = token;
    for (std::size_t k = 0; k < shape.types.size(); ++k) {
      starts_.push_back(encoder(text("start.", k), shape.types[k], offset, at, !conditioned));
      offset += shape.types[k].size(), at += std::size_t(shape.types[k].count);
    }
    token = conditioned ? token : at;
  }
  for (std::size_t k = 0; k < shape.types.size(); ++k) {
    encoders_.push_back(encoder(text("types.", k), shape.types[k], size_, token, true));
    size_ += shape.types[k].size(), token += std::size_t(shape.types[k].count);
  }
  tokens_ = int(token);
  tellers_.emplace(parameters_, d, shape.features, shape.conditions, shape.way, shape.arithmetic, shape.context);
  if constexpr (std::is_same_v<T, float>)
    if (shape.arithmetic == Arithmetic::bf16)
      blocks_ = std::vector<DitBlock<bf16>>{};
  std::visit(
      [&](auto &blocks) {
        for (int i = 0; i < shape.layers; ++i)
          blocks.emplace_back(
              parameters_, text("blocks.", i, "."),
              DitBlockShape{d, shape.heads, tokens_, 4, shape.arithmetic, conditioned, shape.qk_norm, shape.attends});
      },
      blocks_);
  if (conditioned) {
    final_.emplace(parameters_, "final", d, 2 * d, shape.arithmetic, Linear::Begin::zero);
    final_bias_ = final_->bias();
  } else {
    final_bias_ = parameters_.add("final.bias", {2 * d}, {});
  }
  // Last: their biases have odd sizes, and tensor cores want the blocks' weights at even addresses.
  for (std::size_t k = 0; k < shape.types.size(); ++k)
    decoders_.push_back({Linear(parameters_, text("types.", k, ".decode"), d, shape.types[k].width, shape.arithmetic,
                                Linear::Begin::zero),
                         {},
                         {}});
  if (shape.fused)
    for (const TensorPlace &place : parameters_.places())
      if (place.name.ends_with(".weight"))
        early_.push_back({place.offset, elements_of(place)});
}

template <class T>
auto WeightTransformer<T>::reserve(MemoryPlan &plan, const std::string &what, std::int64_t rows,
                                   std::int64_t width) const -> Tensor<T> {
  return plan.reserve<T>("transformer." + what, MemoryClass::activations, {rows, width}, "batch");
}

template <class T> void WeightTransformer<T>::plan(MemoryPlan &plan, int batch, Mode mode) {
  check_unplanned("transformer", batch_);
  batch_ = batch;
  const std::int64_t d = shape_.width, n = std::int64_t(batch) * tokens_, b = batch;
  const bool trains = mode == Mode::train;
  tellers_->plan_forward(plan, batch);
  h_ = reserve(plan, "h", n, d);
  for (auto *list : {&encoders_, &starts_})
    for (std::size_t k = 0; k < list->size(); ++k) {
      Encoder &e = (*list)[k];
      const std::string name = text(list == &starts_ ? "start." : "types.", k);
      const std::int64_t rows = b * e.type.count;
      e.x = reserve(plan, name + ".x", rows, e.type.width), e.h = reserve(plan, name + ".h", rows, d);
      if (e.sinusoidal)
        e.fixed_places = reserve(plan, name + ".places", e.type.count, d);
      if (trains)
        e.d_h = reserve(plan, name + ".d_h", rows, d);
    }
  for (std::size_t k = 0; k < decoders_.size(); ++k) {
    const std::int64_t rows = b * encoders_[k].type.count, width = encoders_[k].type.width;
    decoders_[k].y = reserve(plan, text("types.", k, ".y"), rows, width);
    if (trains)
      decoders_[k].d_y = reserve(plan, text("types.", k, ".d_y"), rows, width);
  }
  conditions_ = reserve(plan, "conditions", b, 2 * d), mean_ = reserve(plan, "mean", n, 1);
  rstd_ = reserve(plan, "rstd", n, 1), normal_ = reserve(plan, "normal", n, d);
  out_ = reserve(plan, "out", b, std::int64_t(size_));
  std::visit(
      [&](auto &blocks) {
        for (std::size_t i = 0; i < blocks.size(); ++i)
          blocks[i].plan_forward(plan, text("blocks.", i, "."), batch, shape_.recompute ? Mode::infer : mode);
      },
      blocks_);
  if (!trains)
    return;
  if (shape_.recompute)
    again_ = blocks_;
  d_out_ = reserve(plan, "d_out", b, std::int64_t(size_)), d_normal_ = reserve(plan, "d_normal", n, d);
  d_h_ = reserve(plan, "d_h", n, d), d_conditions_ = reserve(plan, "d_conditions", b, 2 * d);
  if (const auto largest = std::int64_t(largest_of(early_)); largest > 0)
    early_gradient_ = plan.reserve<T>("transformer.early_gradient", MemoryClass::workspace, {largest});
  tellers_->plan_backward(plan);
  std::visit(
      [&](auto &blocks) {
        for (std::size_t i = blocks.size(); i-- > 0;) {
          if (shape_.recompute)
            blocks[i].plan_forward(plan, text("blocks.", i, ".again."), batch, mode);
          blocks[i].plan_backward(plan);
        }
      },
      backward_blocks());
}

// A type's tokens, encoded, in their places: e.h.
template <class T>
void WeightTransformer<T>::encode(Stream &s, const Parameters<T> &p, const Encoder &e, const T *from) {
  const int part = e.type.count * shape_.width;
  copy_rows<T>(s, e.x, e.type.size(), from + e.offset, size_, batch_, e.type.size());
  e.encode.forward(s, p, e.h.get(), e.x, batch_ * e.type.count);
  if (e.sinusoidal)
    whole_number_features<T>(s, e.fixed_places, nullptr, e.type.count, shape_.width);
  if (e.places || e.sinusoidal)
    add_over_channels<T>(s, e.h, e.h, e.places ? p.value + *e.places : e.fixed_places.get(), 1, batch_, part);
}

template <class T>
const T *WeightTransformer<T>::forward(Stream &s, const Parameters<T> &p, const T *x, const Told &told) {
  const int d = shape_.width;
  const std::size_t row = sequence_row();
  context_ = told.context;
  tellers_->forward(s, p, told.time, told.conditions, context_, h_, row);
  const auto place = [&](const Encoder &e) {
    const std::size_t part = std::size_t(e.type.count) * std::size_t(d);
    copy_rows<T>(s, h_ + e.token * std::size_t(d), row, e.h, part, batch_, part);
  };
  for (std::size_t k = 0; k < encoders_.size(); ++k) {
    const Encoder &e = encoders_[k];
    encode(s, p, e, x);
    if (shape_.start) {
      encode(s, p, starts_[k], told.start);
      if (in_tokens())
        place(starts_[k]);
      else
        add_scaled<T>(s, e.h, e.h, starts_[k].h, 1, std::size_t(batch_ * e.type.count) * std::size_t(d));
    }
    place(e);
  }
  const T *silu = tellers_->silu();
  inputs_ = {h_.get()};
  std::visit(
      [&](auto &blocks) {
        for (auto &block : blocks)
          inputs_.push_back(block.forward(s, p, inputs_.back(), silu));
      },
      blocks_);
  if (final_)
    final_->forward(s, p, conditions_.get(), silu, batch_);
  else
    copy_rows<T>(s, conditions_, std::size_t(2 * d), p.value + final_bias_, 0, batch_, std::size_t(2 * d));
  modulate_forward<T>(s, normal_, mean_, rstd_, inputs_.back(), conditions_.get(), conditions_.get() + d, modulation());
  for (std::size_t k = 0; k < encoders_.size(); ++k) {
    const Encoder &e = encoders_[k];
    const Decoder &c = decoders_[k];
    const std::size_t part = std::size_t(e.type.count) * std::size_t(d);
    copy_rows<T>(s, e.h, part, normal_ + e.token * std::size_t(d), row, batch_, part);
    c.decode.forward(s, p, c.y.get(), e.h, batch_ * e.type.count);
    copy_rows<T>(s, out_ + e.offset, size_, c.y, e.type.size(), batch_, e.type.size());
  }
  return out_;
}

// e.d_h, the gradient of a type's encoded tokens, to the encoder's parameters.
template <class T> void WeightTransformer<T>::encode_backward(Stream &s, const Parameters<T> &p, const Encoder &e) {
  if (e.places)
    sum_over_channels_accumulate<T>(s, p.gradient_of(*e.places), e.d_h, 1, batch_, e.type.count * shape_.width);
  e.encode.backward(s, p, nullptr, e.d_h.get(), e.x, batch_ * e.type.count);
}

// encoders' h holds what the decoder read: forward leaves it there.
template <class T> void WeightTransformer<T>::backward(Stream &s, const Parameters<T> &of) {
  Parameters<T> p = of;
  p.early_gradient = early_gradient_;
  const int d = shape_.width;
  const T *silu = tellers_->silu();
  T *d_silu = tellers_->d_silu();
  const std::size_t row = sequence_row(), sample = std::size_t(batch_) * std::size_t(d);
  fill_zero(s, d_normal_, std::size_t(tokens_) * sample * sizeof(T)); // tokens that are not decoded
  for (std::size_t k = 0; k < encoders_.size(); ++k) {
    const Encoder &e = encoders_[k];
    const Decoder &c = decoders_[k];
    const std::size_t part = std::size_t(e.type.count) * std::size_t(d);
    copy_rows<T>(s, c.d_y, e.type.size(), d_out_ + e.offset, size_, batch_, e.type.size());
    c.decode.backward(s, p, e.d_h, c.d_y.get(), e.h, batch_ * e.type.count);
    copy_rows<T>(s, d_normal_ + e.token * std::size_t(d), row, e.d_h, part, batch_, part);
  }
  fill_zero(s, d_h_, std::size_t(tokens_) * sample * sizeof(T));
  modulate_backward_accumulate<T>(s, d_h_, d_conditions_.get(), d_conditions_.get() + d, d_normal_, inputs_.back(),
                                  mean_, rstd_, conditions_.get() + d, modulation());
  if (final_)
    final_->backward(s, p, d_silu, d_conditions_.get(), silu, batch_);
  else
    channel_sum<T>(s, p.gradient_of(final_bias_), d_conditions_, batch_, 2 * d, 1);
  std::visit(
      [&](auto &blocks) {
        for (std::size_t i = blocks.size(); i-- > 0;) {
          if (shape_.recompute)
            blocks[i].forward(s, p, inputs_[i], silu);
          blocks[i].backward_accumulate(s, p, d_h_, d_silu, inputs_[i], silu);
        }
      },
      backward_blocks());
  tellers_->backward(s, p, context_, d_h_, row);
  const auto take = [&](const Encoder &e) {
    const std::size_t part = std::size_t(e.type.count) * std::size_t(d);
    copy_rows<T>(s, e.d_h, part, d_h_ + e.token * std::size_t(d), row, batch_, part);
  };
  for (std::size_t k = 0; k < encoders_.size(); ++k) {
    take(encoders_[k]);
    encode_backward(s, p, encoders_[k]);
    if (shape_.start) {
      take(starts_[k]); // of its own tokens, or of those that it was added to
      encode_backward(s, p, starts_[k]);
    }
  }
}

template class WeightTransformer<float>;
template class WeightTransformer<double>;

} // namespace theta
