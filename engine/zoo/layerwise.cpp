#include "layerwise.h"
#include "engine/networks/kind.h"
#include "kernels/operations/add.h"
#include "kernels/operations/reduce.h"
#include <algorithm>
#include <cmath>

namespace theta {

namespace {

std::shared_ptr<LayeredNetworks<float>> layered_of(NetworkShape shape, Activation act) {
  shape.act = act;
  auto networks = shape.kind->layered(shape);
  if (!networks)
    throw InputError("network.kind: found ", shape.kind->name(), ", expected one that goes layer by layer");
  return networks;
}

} // namespace

std::string Layerwise::beyond(const ZooRecipe &recipe) {
  for (const auto &[key, one] : {std::pair{"zoo.optimizer", recipe.optimizer.size() == 1},
                                 {"network.activation", recipe.activation.size() == 1},
                                 {"zoo.lr", recipe.lr.is_fixed()},
                                 {"zoo.momentum", recipe.momentum.is_fixed()},
                                 {"zoo.weight_decay", recipe.weight_decay.is_fixed()}})
    if (!one)
      return text(key, ": found several values, expected one: the layerwise trainer gives every run the same");
  if (recipe.stop_psnr > 0)
    return "zoo.stop_psnr: the layerwise trainer ends no run early, expected 0";
  if (!recipe.label_smoothing.is_fixed())
    return "zoo.label_smoothing: found several values, expected one: the layerwise trainer gives every run the same";
  for (const auto &[key, choice] :
       {std::pair{"zoo.label_noise", &recipe.label_noise}, {"zoo.dropout", &recipe.dropout}})
    if (!choice->is_fixed() || choice->values[0] != 0)
      return text(key, ": the layerwise trainer has none, expected 0");
  return "";
}

bool Layerwise::is_needed(Backend backend, const ZooRecipe &recipe) {
  return recipe.augment.any() || recipe.average > 0 || !recipe.decays_vectors ||
         (backend == Backend::cpu && recipe.arithmetic != Arithmetic::fp32);
}

Layerwise::Layerwise(const ZooRecipe &recipe, const NetworkShape &shape)
    : recipe_(recipe), each_(choice_of(recipe, 0, 0).recipe), networks_(layered_of(shape, each_.act)),
      loss_(learning_of(shape).batch_loss(shape, recipe)), stretches_(stretches()) {
  if (const std::string wrong = beyond(recipe); !wrong.empty())
    throw InputError(wrong);
  networks_->multiply_in(recipe.arithmetic);
  coded_ = coded_tensors(shape), most_ = most_code(shape.form), kept_ = kept_weights(shape);
  of_four_ = shape.form.kind == FormKind::two_of_four;
}

std::vector<Layerwise::Stretch> Layerwise::stretches() const {
  const Layout &layout = networks_->layout();
  std::vector<Stretch> all;
  for (const TensorPlace &place : layout.places()) {
    const bool is_vector = place.shape.size() < 2 || (place.shape.size() == 3 && place.shape[0] == 1);
    const bool decays = recipe_.decays_vectors || !is_vector;
    if (place.offset >= layout.trained())
      break;
    if (!all.empty() && all.back().decays == decays)
      all.back().count += elements_of(place);
    else
      all.push_back({place.offset, elements_of(place), decays});
  }
  return all;
}

void Layerwise::plan(MemoryPlan &plan, int networks) {
  const std::int64_t n = networks;
  gradient_ = plan.reserve<float>("zoo.gradient", MemoryClass::gradients, {n, std::int64_t(networks_->layout().size())},
                                  "zoo.wave");
  if (most_ > 0)
    rounded_ = plan.reserve<float>("zoo.rounded", MemoryClass::weights, {n, std::int64_t(networks_->layout().size())},
                                   "zoo.wave");
  largest_ = plan.reserve<float>("zoo.largest", MemoryClass::workspace, {n});
  loss_->plan(plan, networks, recipe_.batch);
  networks_->plan(plan, true, networks, recipe_.batch);
  loss_->plan_done(plan); // of one step; networks are scored between steps
}

// The losses of the mini-batch of step `step` (0 for the first), and the gradient.
void Layerwise::compute_losses(Stream &s, const TrainingRuns<float> &runs, const Examples &examples, long step,
                               float *state) {
  networks_->move_state_of(state);
  fill_zero(s, gradient_, std::size_t(runs.networks) * runs.parameters * sizeof(float));
  loss_->compute(s, *networks_, runs, examples, gradient_, step);
}

TrainingRuns<float> Layerwise::in_form(Stream &s, const TrainingRuns<float> &runs) const {
  TrainingRuns<float> rounded = runs;
  if (most_ > 0) {
    round_to_codes<float>(s, rounded_, runs.theta, runs.networks, runs.parameters, coded_, most_);
    rounded.theta = rounded_;
  }
  return rounded;
}

void Layerwise::prune(Stream &s, const TrainingRuns<float> &runs, const Pruning &now) const {
  if (now.keep < 0)
    return;
  if (of_four_)
    keep_two_of_four<float>(s, runs.theta, runs.moment1, runs.moment2, runs.networks, runs.parameters, coded_);
  else
    keep_largest<float>(s, runs.theta, runs.moment1, runs.moment2, runs.networks, runs.parameters, coded_,
                        std::size_t(now.keep));
}

void Layerwise::update(Stream &s, const TrainingRuns<float> &runs, long step) const {
  const double lr = double(each_.lr) * recipe_.schedule.at(step);
  const auto move = [&](std::size_t at, std::size_t n, double weight_decay) {
    if (each_.optimizer == OptimizerKind::sgd)
      sgd_step<float>(s, runs.theta + at, runs.moment1 + at, gradient_ + at, n, {lr, each_.momentum, weight_decay});
    else
      adam_step<float>(
          s, runs.theta + at, runs.moment1 + at, runs.moment2 + at, nullptr, gradient_ + at, n,
          {lr, runs.beta1, runs.beta2, runs.eps, weight_decay, each_.optimizer == OptimizerKind::adamw, step + 1});
  };
  if (stretches_.size() == 1 && stretches_[0].count == runs.parameters) // no state, which no optimiser moves
    return move(0, std::size_t(runs.networks) * runs.parameters, stretches_[0].decays ? each_.weight_decay : 0);
  for (int i = 0; i < runs.networks; ++i)
    for (const Stretch &part : stretches_)
      move(std::size_t(i) * runs.parameters + part.first, part.count, part.decays ? each_.weight_decay : 0);
}

void Layerwise::move_average(Stream &s, const TrainingRuns<float> &runs, long step) const {
  const std::size_t n = std::size_t(runs.networks) * runs.parameters;
  const double updates = double(step + 1), decay = std::min(recipe_.average, (1 + updates) / (10 + updates));
  float *difference = gradient_; // which the next step begins anew
  add_scaled<float>(s, difference, runs.theta, runs.average, -1, n);
  add_scaled<float>(s, runs.average, runs.average, difference, 1 - decay, n);
}

void record_rows(Stream &s, const TrainingRuns<float> &runs, float *largest_of, const std::vector<std::int32_t> &due,
                 long step, const Layerwise::KeepRow &keep) {
  const std::size_t n = std::size_t(runs.networks), k = std::size_t(runs.checkpoints), v = runs.parameters;
  std::vector<std::size_t> rows; // of [networks, checkpoints]
  for (std::size_t i = 0; i < n; ++i) {
    const auto *begin = due.data() + i * k, *found = std::lower_bound(begin, begin + k, step);
    if (found != begin + k && *found == step)
      rows.push_back(i * k + std::size_t(found - begin));
  }
  if (rows.empty())
    return;
  const float *const weights = runs.average ? runs.average : runs.theta;
  row_max_abs<float>(s, largest_of, weights, int(n), v);
  const auto largest = to_host(s, largest_of, n), loss = to_host(s, runs.loss, n);
  auto diverged = to_host(s, runs.diverged, n);
  for (const std::size_t row : rows) {
    const std::size_t i = row / k;
    if (!(double(largest[i]) <= runs.limit) || !std::isfinite(loss[i]))
      diverged[i] = 1;
    keep(row, weights + i * v);
    copy(s, runs.row_loss + row, runs.loss + i, sizeof(float));
  }
  copy(s, runs.diverged, diverged.data(), n * sizeof(std::int32_t));
  s.synchronize();
}

void Layerwise::train(Stream &s, const TrainingRuns<float> &runs, const Examples &examples,
                      const std::vector<std::int32_t> &due, long first, long last, const KeepRow &keep) {
  std::size_t all = 0; // weights that may be pruned
  for (const CodedTensor &t : coded_)
    all += t.elements();
  const bool prunes = !coded_.empty() && most_ == 0;
  auto rounded = in_form(s, runs);
  for (long step = first; step < last; ++step) {
    const Pruning now = prunes ? pruning_at(recipe_, step, all, kept_, of_four_) : Pruning{};
    prune(s, runs, now);
    compute_losses(s, rounded, examples, step, runs.theta);
    if (step == 0)
      record_rows(s, rounded, largest_, due, 0, keep); // what has seen no update: its loss is the first batch's
    if (now.holds)
      hold_zeros<float>(s, gradient_, runs.theta, runs.networks, runs.parameters, coded_);
    update(s, runs, step);
    if (runs.average)
      move_average(s, runs, step);
    rounded = in_form(s, runs);
    record_rows(s, rounded, largest_, due, step + 1, keep);
  }
}

} // namespace theta
