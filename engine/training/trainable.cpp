#include "trainable.h"
#include "kernels/operations/convert.h"
#include "kernels/operations/reduce.h"

namespace theta {

void Trainable::plan(MemoryPlan &plan, const std::string &hint) {
  const auto n = std::int64_t(parameters_->size()), b = std::int64_t(std::max<std::size_t>(1, buffers_->size()));
  const auto reserve = [&](const char *what, MemoryClass kind, std::int64_t size) {
    return plan.reserve<float>(name_ + "." + what, kind, {size}, hint);
  };
  value_ = reserve("value", MemoryClass::weights, n);
  buffer_ = reserve("buffer", MemoryClass::weights, b);
  gradient_ = reserve("gradient", MemoryClass::gradients, std::int64_t(gradient_size()));
  moment1_ = reserve("moment1", MemoryClass::optimizer, n);
  moment2_ = reserve("moment2", MemoryClass::optimizer, n);
  if (keep_ema_)
    ema_ = reserve("ema", MemoryClass::optimizer, n);
  if (keep_narrow_)
    narrow_ = plan.reserve<bf16>(name_ + ".narrow", MemoryClass::weights, {n}, hint);
  norm_ = reserve("norm", MemoryClass::workspace, 1);
  partials_ = reserve("partials", MemoryClass::workspace, std::int64_t(partial_sums));
}

void Trainable::initialise(Stream &s, std::uint64_t seed, std::uint32_t stream) {
  const auto buffers = buffers_->constants();
  const std::size_t bytes = parameters_->size() * sizeof(float);
  fill_zero(s, value_, bytes);
  parameters_->initial_values(seed, stream, [&](std::size_t at, const float *values, std::size_t n) {
    copy(s, value_ + at, values, n * sizeof(float));
    s.synchronize();
  });
  if (ema_)
    copy(s, ema_, value_, bytes);
  copy(s, buffer_, buffers.data(), buffers.size() * sizeof(float));
  fill_zero(s, gradient_, gradient_size() * sizeof(float));
  for (float *zero : {moment1_.get(), moment2_.get()})
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

std::map<std::string, Trainable::Vector> Trainable::vectors() const {
  std::map<std::string, Vector> all{{name_ + ".value", {value_, parameters_}},
                                    {name_ + ".moment1", {moment1_, parameters_}},
                                    {name_ + ".moment2", {moment2_, parameters_}},
                                    {name_ + ".buffer", {buffer_, buffers_}}};
  if (ema_)
    all[name_ + ".ema"] = {ema_, parameters_};
  return all;
}

void Trainable::save(Stream &s, std::vector<StateTensor> &to) const {
  for (const auto &[name, vector] : vectors())
    to.push_back({name, vector.layout->packed_size(), [&s, vector = vector](const StateTensor::Take &take) {
                    for (const TensorPlace &place : vector.layout->places())
                      state_of(s, place.name, vector.values + place.offset, elements_of(place)).pieces(take);
                  }});
}

void Trainable::load(Stream &s, const SavedState &from) {
  for (const auto &[name, vector] : vectors()) {
    fill_zero(s, vector.values, vector.layout->size() * sizeof(float));
    const auto &places = vector.layout->places();
    std::size_t tensor = 0, within = 0; // where the next packed element goes
    from.read(name, vector.layout->packed_size(), [&](std::size_t, const float *values, std::size_t n) {
      while (n > 0) {
        const std::size_t part = std::min(n, elements_of(places[tensor]) - within);
        copy(s, vector.values + places[tensor].offset + within, values, part * sizeof(float));
        s.synchronize();
        values += part, n -= part, within += part;
        if (within == elements_of(places[tensor]))
          ++tensor, within = 0;
      }
    });
  }
  fill_zero(s, gradient_, gradient_size() * sizeof(float));
  round(s);
  s.synchronize();
}

std::vector<float> Trainable::result(Stream &s) const {
  return to_host(s, (ema_ ? ema_ : value_).get(), parameters_->size());
}

std::vector<float> Trainable::finish(Stream &s) {
  const std::size_t n = parameters_->size();
  for (float *vector : {moment1_.get(), moment2_.get()})
    give_back(s, vector, n * sizeof(float));
  give_back(s, gradient_, gradient_size() * sizeof(float));
  return result(s);
}

std::vector<float> Trainable::buffers(Stream &s) const { return to_host(s, buffer_.get(), buffers_->size()); }

} // namespace theta
