#include "trainable.h"
#include "kernels/convert.h"
#include "kernels/reduce.h"

namespace theta {

void Trainable::plan(MemoryPlan &plan) {
  const auto n = std::int64_t(parameters_->size()), b = std::int64_t(std::max<std::size_t>(1, buffers_->size()));
  const auto reserve = [&](const char *what, MemoryClass kind, std::int64_t size) {
    return plan.reserve<float>(name_ + "." + what, kind, {size}, "width, channels or latent");
  };
  value_slot_ = reserve("value", MemoryClass::weights, n);
  buffer_slot_ = reserve("buffer", MemoryClass::weights, b);
  gradient_slot_ = reserve("gradient", MemoryClass::gradients, std::int64_t(gradient_size()));
  moment1_slot_ = reserve("moment1", MemoryClass::optimizer, n);
  moment2_slot_ = reserve("moment2", MemoryClass::optimizer, n);
  if (keep_ema_)
    ema_slot_ = reserve("ema", MemoryClass::optimizer, n);
  if (keep_narrow_)
    narrow_slot_ = plan.reserve<bf16>(name_ + ".narrow", MemoryClass::weights, {n}, "width, channels or latent");
  norm_slot_ = reserve("norm", MemoryClass::workspace, 1);
  partials_slot_ = reserve("partials", MemoryClass::workspace, std::int64_t(partial_sums));
}

void Trainable::bind(const Arena &arena) {
  value_ = arena.at<float>(value_slot_), gradient_ = arena.at<float>(gradient_slot_);
  moment1_ = arena.at<float>(moment1_slot_), moment2_ = arena.at<float>(moment2_slot_);
  buffer_ = arena.at<float>(buffer_slot_), norm_ = arena.at<float>(norm_slot_),
  partials_ = arena.at<float>(partials_slot_);
  ema_ = keep_ema_ ? arena.at<float>(ema_slot_) : nullptr;
  narrow_ = keep_narrow_ ? arena.at<bf16>(narrow_slot_) : nullptr;
}

void Trainable::initialise(Stream &s, std::uint64_t seed, std::uint32_t stream) {
  const auto values = parameters_->initial_values(seed, stream), buffers = buffers_->constants();
  const std::size_t bytes = values.size() * sizeof(float);
  copy(s, value_, values.data(), bytes);
  if (ema_)
    copy(s, ema_, values.data(), bytes);
  copy(s, buffer_, buffers.data(), buffers.size() * sizeof(float));
  fill_zero(s, gradient_, gradient_size() * sizeof(float));
  for (float *zero : {moment1_, moment2_})
    fill_zero(s, zero, bytes);
  round(s);
  s.synchronize();
}

void Trainable::round(Stream &s) const {
  if (narrow_)
    narrow(s, narrow_, value_, parameters_->size());
}

std::size_t Trainable::gradient_size() const {
  std::size_t n = parameters_->size();
  for (const TensorRange &tensor : early_)
    n -= tensor.size;
  return n;
}

void Trainable::step(Stream &s, const TensorRange &of, float *gradient, const Adam &options) {
  if (of.size > 0)
    adam_step<float>(s, value_ + of.offset, moment1_ + of.offset, moment2_ + of.offset,
                     ema_ ? ema_ + of.offset : nullptr, gradient, of.size, options,
                     narrow_ ? narrow_ + of.offset : nullptr);
}

void Trainable::step(Stream &s, Adam options, double max_norm) {
  if (max_norm > 0) {
    if (!early_.empty())
      throw Error(name_, ": max_norm: found ", max_norm,
                  ", expected 0 where tensors move before all gradients are known");
    global_norm<float>(s, norm_, gradient_, parameters_->size(), partials_);
    options.clip = {norm_, max_norm};
  }
  std::size_t from = 0;
  float *gradient = gradient_;
  const auto up_to = [&](std::size_t end) {
    step(s, {from, end - from}, gradient, options);
    gradient += end - from;
  };
  for (const TensorRange &tensor : early_)
    up_to(tensor.offset), from = tensor.offset + tensor.size;
  up_to(parameters_->size());
}

void Trainable::step_early(Stream &s, const TensorRange &tensor, float *gradient, const Adam &options) {
  step(s, tensor, gradient, options);
}

std::map<std::string, std::pair<float *, std::size_t>> Trainable::vectors() const {
  const std::size_t n = parameters_->size();
  std::map<std::string, std::pair<float *, std::size_t>> all{{name_ + ".value", {value_, n}},
                                                             {name_ + ".moment1", {moment1_, n}},
                                                             {name_ + ".moment2", {moment2_, n}},
                                                             {name_ + ".buffer", {buffer_, buffers_->size()}}};
  if (ema_)
    all[name_ + ".ema"] = {ema_, n};
  return all;
}

void Trainable::save(Stream &s, HostTensors &to) const {
  for (const auto &[name, vector] : vectors())
    to[name] = to_host(s, vector.first, vector.second);
}

void Trainable::load(Stream &s, const HostTensors &from) {
  for (const auto &[name, vector] : vectors()) {
    const auto found = from.find(name);
    if (found == from.end() || found->second.size() != vector.second)
      throw InputError("training state: '", name, "': found ", found == from.end() ? 0 : found->second.size(),
                       " values, expected ", vector.second);
    copy(s, vector.first, found->second.data(), vector.second * sizeof(float));
  }
  fill_zero(s, gradient_, gradient_size() * sizeof(float));
  round(s);
  s.synchronize();
}

std::vector<float> Trainable::result(Stream &s) const { return to_host(s, ema_ ? ema_ : value_, parameters_->size()); }

std::vector<float> Trainable::buffers(Stream &s) const { return to_host(s, buffer_, buffers_->size()); }

} // namespace theta
