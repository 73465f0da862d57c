#include "adapted.h"
#include <cmath>

namespace theta {

Adapted::Adapted(const ZooRecipe &recipe, const NetworkShape &shape)
    : recipe_(recipe), each_(choice_of(recipe, 0, 0).recipe), model_([&] {
        NetworkShape with = shape;
        with.act = choice_of(recipe, 0, 0).recipe.act;
        return with;
      }()),
      rank_(recipe.low_rank), loss_(learning_of(shape).batch_loss(shape, recipe)) {
  if (const std::string wrong = Layerwise::beyond(recipe); !wrong.empty())
    throw InputError(wrong);
  const auto &widths = model_.shape().widths;
  for (std::size_t l = 0; l + 1 < widths.size(); ++l) {
    at_.push_back(adapters_);
    adapters_ += layer(int(l)).numbers();
  }
  if (adapters_ > model_.layout().size())
    throw InputError("zoo.low_rank: found ", rank_, ", which has ", adapters_, " numbers, expected no more than the ",
                     model_.layout().size(), " weights that they replace");
}

LowRank Adapted::layer(int l) const {
  const auto &widths = model_.shape().widths;
  return {networks_, widths[std::size_t(l) + 1], widths[std::size_t(l)], rank_, model_.layout().size(), adapters_};
}

void Adapted::plan(MemoryPlan &plan, int networks) {
  const std::int64_t n = networks, v = std::int64_t(model_.layout().size()), a = std::int64_t(adapters_);
  networks_ = networks;
  const auto reserve = [&](const char *name, MemoryClass kind, Shape shape) {
    return plan.reserve<float>(name, kind, std::move(shape), "zoo.wave");
  };
  base_ = reserve("zoo.base", MemoryClass::weights, {v}),
  adapter_ = reserve("zoo.adapter", MemoryClass::weights, {n, a});
  gradient_ = reserve("zoo.gradient", MemoryClass::gradients, {n, v});
  slope_ = reserve("zoo.adapter_gradient", MemoryClass::gradients, {n, a});
  largest_ = plan.reserve<float>("zoo.largest", MemoryClass::workspace, {n});
  loss_->plan(plan, networks, recipe_.batch);
  model_.plan(plan, true, networks, recipe_.batch);
}

void Adapted::start(Stream &s, std::uint64_t seed, const std::vector<float> &base) {
  copy(s, base_, base.data(), base.size() * sizeof(float));
  std::vector<float> one(adapters_, 0); // of every network
  const float bound = std::sqrt(3.0f / float(rank_));
  for (std::size_t l = 0; l < at_.size(); ++l)
    for (std::size_t k = 0; k < std::size_t(layer(int(l)).out * rank_); ++k) {
      const auto draw = philox(seed, Purpose::initialisation, 0, (std::uint64_t(1) << 40) + at_[l] + k);
      one[at_[l] + k] = bound * (2 * uniform01(draw.word[0]) - 1);
    }
  for (int n = 0; n < networks_; ++n)
    copy(s, adapter_ + std::size_t(n) * adapters_, one.data(), adapters_ * sizeof(float));
  s.synchronize();
}

void Adapted::weights(Stream &s, float *theta) const {
  for (std::size_t l = 0; l < at_.size(); ++l) {
    const std::size_t offset = model_.layout().places()[2 * l].offset;
    low_rank_forward<float>(s, theta + offset, base_ + offset, adapter_ + at_[l], layer(int(l)));
  }
}

// The losses of the mini-batch of step `step`, and the adapters' gradient.
void Adapted::compute_losses(Stream &s, const TrainingRuns<float> &runs, const Examples &examples, long step) {
  fill_zero(s, gradient_, std::size_t(networks_) * runs.parameters * sizeof(float));
  loss_->compute(s, model_, runs, examples, gradient_, step);
  for (std::size_t l = 0; l < at_.size(); ++l) {
    const std::size_t offset = model_.layout().places()[2 * l].offset;
    low_rank_backward<float>(s, slope_ + at_[l], gradient_ + offset, base_ + offset, adapter_ + at_[l], layer(int(l)));
  }
}

void Adapted::train(Stream &s, const TrainingRuns<float> &runs, const Examples &examples,
                    const std::vector<std::int32_t> &due, long first, long last, const Layerwise::KeepRow &keep) {
  const std::size_t n = std::size_t(runs.networks) * adapters_;
  for (long step = first; step < last; ++step) {
    if (step == first)
      weights(s, runs.theta);
    compute_losses(s, runs, examples, step);
    if (step == 0)
      record_rows(s, runs, largest_, due, 0, keep);
    const double lr = double(each_.lr) * recipe_.schedule.at(step);
    if (each_.optimizer == OptimizerKind::sgd)
      sgd_step<float>(s, adapter_, runs.moment1, slope_, n, {lr, each_.momentum, each_.weight_decay});
    else
      adam_step<float>(s, adapter_, runs.moment1, runs.moment2, nullptr, slope_, n,
                       {lr, runs.beta1, runs.beta2, runs.eps, each_.weight_decay,
                        each_.optimizer == OptimizerKind::adamw, step + 1});
    weights(s, runs.theta);
    record_rows(s, runs, largest_, due, step + 1, keep);
  }
}

} // namespace theta
