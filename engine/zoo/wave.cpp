#include "wave.h"
#include "kernels/device/bf16.h"
#include "kernels/device/parallel.h"
#include "kernels/operations/gather.h"
#include "kernels/operations/random.h"
#include <algorithm>
#include <cmath>

namespace theta {

namespace {

// FLOPs of a call: some tenths of a second on a core, hundredths on a GPU.
double work_of_a_call(Backend backend) { return backend == Backend::cpu ? 4e10 : 2e12; }

} // namespace

Wave::Wave(const ZooRecipe &recipe, const NetworkShape &shape, int networks, std::uint64_t seed, bool rows_are_bf16,
           Backend backend, TrainerKind trainer, std::size_t most_row_bytes)
    : recipe_(recipe), shape_(shape), layout_(layout_of(shape)),
      into_form_(shape, rows_are_bf16 ? Dtype::bf16 : Dtype::f32), capacity_(networks), seed_(seed),
      rows_are_bf16_(rows_are_bf16 && !into_form_.is_something()),
      checkpoints_(checkpoint_steps(recipe, seed, 0).size()), most_row_bytes_(most_row_bytes), backend_(backend) {
  recipe_.schedule.steps = recipe.steps;
  if (kept_ = kept_weights(shape); most_code(shape.form) == 0)
    for (const CodedTensor &t : coded_tensors(shape))
      prunable_ += t.elements();
  if (checkpoints_ == 0)
    throw InputError("zoo.count: found ", recipe.count, ": no step of ", recipe.steps, " would be kept");
  check_choices(recipe);
  if (recipe_.low_rank > 0)
    adapted_.emplace(recipe_, shape);
  else if (trainer == TrainerKind::layer_by_layer)
    layerwise_.emplace(recipe_, shape);
  else
    whole_ = whole_runs_of(shape, recipe.batch);
}

long Wave::chunk() const {
  const double a_step = capacity_ * (whole_       ? whole_->flops_of_a_step()
                                     : layerwise_ ? layerwise_->step_flops()
                                                  : 6.0 * recipe_.batch * double(layout_.size()));
  return std::clamp(long(work_of_a_call(backend_) / a_step), 1L, std::clamp(recipe_.steps / 20, 1L, 50L));
}

void Wave::plan(MemoryPlan &plan) {
  const std::int64_t n = capacity_, v = std::int64_t(layout_.size()), k = std::int64_t(checkpoints_);
  const auto vector = [&](const char *name, MemoryClass kind) {
    return plan.reserve<float>(name, kind, {n, v}, "zoo.wave");
  };
  const auto small = [&]<class T>(T, const char *name, Shape shape) {
    return plan.reserve<T>(name, MemoryClass::workspace, std::move(shape));
  };
  theta_ = vector("zoo.theta", MemoryClass::weights);
  moment1_ = vector("zoo.moment1", MemoryClass::optimizer);
  if (recipe_.optimizer != std::vector{OptimizerKind::sgd})
    moment2_ = vector("zoo.moment2", MemoryClass::optimizer);
  if (recipe_.average > 0)
    average_ = vector("zoo.average", MemoryClass::optimizer);
  if (needs_file())
    row_staging_ = plan.reserve<float>("zoo.staging.row", MemoryClass::staging, {v});
  else
    rows_ = plan.reserve<float>("zoo.rows", MemoryClass::data, {n, k, v}, "zoo.wave, zoo.count");
  bounds_ = small(float{}, "zoo.bounds", {v});
  loss_ = small(float{}, "zoo.loss", {n});
  row_loss_ = small(float{}, "zoo.row_losses", {n, k});
  due_there_ = small(std::int32_t{}, "zoo.due", {n, k});
  diverged_ = small(std::int32_t{}, "zoo.diverged", {n});
  if (recipe_.stop_psnr > 0)
    ended_ = small(std::int32_t{}, "zoo.ended", {n});
  recipe_there_ = small(std::uint8_t{}, "zoo.recipes", {n, std::int64_t(sizeof(RunRecipe))});
  schedule_ = small(std::uint8_t{}, "zoo.schedule", {chunk(), std::int64_t(sizeof(ScheduledStep))});
  if (layerwise_)
    layerwise_->plan(plan, capacity_);
  else if (adapted_)
    adapted_->plan(plan, capacity_);
  else
    workspace_ = small(std::uint8_t{}, "zoo.workspace", {std::int64_t(whole_->workspace(backend_, capacity_))});
}

void Wave::start(Stream &s, int first_run, int networks, const std::vector<float> *base) {
  const std::size_t v = layout_.size(), n = std::size_t(capacity_);
  first_run_ = first_run, networks_ = networks;
  choices_.clear(), due_.clear();
  std::vector<RunRecipe> recipes;
  for (int run = first_run; run < first_run + networks; ++run) {
    choices_.push_back(choice_of(recipe_, seed_, run));
    recipes.push_back(choices_.back().recipe);
    for (const long step : checkpoint_steps(recipe_, seed_, run))
      due_.push_back(std::int32_t(step));
  }
  copy(s, recipe_there_, recipes.data(), recipes.size() * sizeof(RunRecipe));
  copy(s, due_there_, due_.data(), due_.size() * sizeof(std::int32_t));
  if (adapted_ && !base)
    throw Error("zoo: found no base, expected one for adapted networks");
  if (adapted_)
    adapted_->start(s, seed_, *base);
  if (base) {
    copy(s, theta_, base->data(), v * sizeof(float));
    if (networks > 1)
      copy_rows<float>(s, theta_ + v, v, theta_, 0, networks - 1, v);
  } else {
    draw_starts(s);
  }
  if (average_)
    copy(s, average_, theta_, std::size_t(networks) * v * sizeof(float));
  fill_zero(s, moment1_, n * v * sizeof(float));
  if (moment2_)
    fill_zero(s, moment2_, n * v * sizeof(float));
  if (rows_)
    fill_zero(s, rows_, n * checkpoints_ * v * sizeof(float));
  fill_zero(s, loss_, n * sizeof(float));
  fill_zero(s, row_loss_, n * checkpoints_ * sizeof(float));
  fill_zero(s, diverged_, n * sizeof(std::int32_t));
  if (ended_)
    fill_zero(s, ended_, n * sizeof(std::int32_t));
  s.synchronize();
}

void Wave::begin_as(Stream &s, int i, const float *theta) const {
  for (float *const to : {theta_.get(), average_.get()})
    if (to)
      copy(s, to + std::size_t(i) * layout_.size(), theta, layout_.size() * sizeof(float));
  s.synchronize();
}

void Wave::draw_starts(Stream &s) const {
  const std::size_t v = layout_.size();
  for (int first = 0, last; first < networks_; first = last) { // neighbours of one initialisation together
    NetworkShape shape = shape_;
    shape.initialisation = choices_[std::size_t(first)].initialisation;
    for (last = first; last < networks_ && choices_[std::size_t(last)].initialisation == shape.initialisation;)
      ++last;
    upload_bounds(s, layout_of(shape));
    const bool shared = recipe_.start == StartKind::shared;
    for (int at = first; at < last; at = shared ? at + 1 : last)
      fill_uniform<float>(s, theta_ + std::size_t(at) * v, bounds_, shared ? 1 : last - first, v,
                          {seed_, Purpose::initialisation, shared ? 0 : std::uint32_t(first_run_ + at)});
    s.synchronize();
  }
  for (std::size_t t = 0; t < layout_.places().size(); ++t) { // what does not begin around zero
    const std::size_t size = elements_of(layout_.places()[t]);
    for (int i = 0; layout_.constant(t) != 0 && i < networks_; ++i) {
      float *at = theta_ + std::size_t(i) * v + layout_.places()[t].offset;
      auto values = to_host(s, at, size);
      for (float &x : values)
        x += float(layout_.constant(t));
      copy(s, at, values.data(), size * sizeof(float));
      s.synchronize();
    }
  }
}

// Tensor by tensor: nobody holds V of them on the host.
void Wave::upload_bounds(Stream &s, const Layout &layout) const {
  for (std::size_t i = 0; i < layout.places().size(); ++i) {
    const TensorPlace &tensor = layout.places()[i];
    const std::size_t n = elements_of(tensor);
    const std::vector<float> piece(std::min(n, std::size_t(1) << 16), float(layout.bound(i)));
    for (std::size_t at = 0; at < n; at += piece.size())
      copy(s, bounds_ + tensor.offset + at, piece.data(), std::min(piece.size(), n - at) * sizeof(float));
    s.synchronize();
  }
}

// As it will be stored.
void Wave::keep_row(Stream &s, std::size_t row, const float *theta) const {
  const std::size_t v = layout_.size();
  if (!file_) {
    copy(s, rows_ + row * v, theta, v * sizeof(float));
    if (!rows_are_bf16_)
      return;
    auto rounded = to_host(s, rows_ + row * v, v);
    for (float &x : rounded)
      x = to_float(to_bf16(x));
    copy(s, rows_ + row * v, rounded.data(), v * sizeof(float));
    return s.synchronize();
  }
  float *staging = row_staging_;
  copy(s, staging, theta, v * sizeof(float));
  s.synchronize();
  if (rows_are_bf16_)
    std::transform(staging, staging + v, staging, [](float x) { return to_float(to_bf16(x)); });
  file_->write(row * v * sizeof(float), staging, v * sizeof(float));
}

void Wave::row_to(Stream &s, std::size_t row, float *to) const {
  const std::size_t v = layout_.size();
  if (!file_)
    return copy(s, to, rows_ + row * v, v * sizeof(float));
  s.synchronize(); // the copy out of the staging before
  file_->read(row * v * sizeof(float), row_staging_, v * sizeof(float));
  copy(s, to, row_staging_, v * sizeof(float));
}

void Wave::put_in_form(Stream &s) const {
  if (!into_form_.is_something())
    return;
  const std::size_t v = layout_.size(), n = due_.size();
  constexpr std::size_t at_once = 256;
  for (std::size_t first = 0; first < n; first += at_once) {
    const std::size_t count = std::min(at_once, n - first);
    auto rows = to_host(s, rows_ + first * v, count * v);
    parallel_for(long(count), 1e3 * double(count * v), [&](long i) { into_form_(rows.data() + std::size_t(i) * v); });
    copy(s, rows_ + first * v, rows.data(), rows.size() * sizeof(float));
    s.synchronize();
  }
}

TrainingRuns<float> Wave::runs() const {
  return {.networks = networks_,
          .parameters = layout_.size(),
          .seed = seed_,
          .first_run = std::uint32_t(first_run_),
          .recipe = reinterpret_cast<const RunRecipe *>(recipe_there_.get()),
          .beta1 = recipe_.beta1,
          .beta2 = recipe_.beta2,
          .eps = recipe_.eps,
          .schedule = reinterpret_cast<const ScheduledStep *>(schedule_.get()),
          .theta = theta_,
          .moment1 = moment1_,
          .moment2 = moment2_,
          .average = average_,
          .loss = loss_,
          .checkpoints = int(checkpoints_),
          .due = due_there_,
          .row = rows_,
          .row_loss = row_loss_,
          .rows_are_bf16 = rows_are_bf16_,
          .limit = recipe_.divergence_limit,
          .diverged = diverged_,
          .enough = std::pow(10, -recipe_.stop_psnr / 10),
          .ended = ended_};
}

void Wave::train(Stream &s, const Examples &examples, long first, long last) {
  std::vector<ScheduledStep> schedule;
  for (long step = first; step < last; ++step) {
    schedule.push_back({recipe_.schedule.at(step), 1 / (1 - std::pow(recipe_.beta1, double(step + 1))),
                        1 / std::sqrt(1 - std::pow(recipe_.beta2, double(step + 1)))});
    if (prunable_ > 0) {
      const Pruning now = pruning_at(recipe_, step, prunable_, kept_, shape_.form.kind == FormKind::two_of_four);
      schedule.back().keep = now.keep, schedule.back().holds = now.holds;
    }
  }
  copy(s, schedule_, schedule.data(), schedule.size() * sizeof(ScheduledStep));
  s.synchronize();
  const auto keep = [&](std::size_t row, const float *theta) { keep_row(s, row, theta); };
  if (layerwise_)
    layerwise_->train(s, runs(), examples, due_, first, last, keep);
  else if (adapted_)
    adapted_->train(s, runs(), examples, due_, first, last, keep);
  else
    whole_->train(s, runs(), examples, first, last, workspace_);
}

std::vector<float> Wave::row_losses(Stream &s) const {
  return to_host(s, row_loss_.get(), std::size_t(networks_) * checkpoints_);
}
std::vector<float> Wave::losses(Stream &s) const { return to_host(s, loss_.get(), std::size_t(networks_)); }
std::vector<std::int32_t> Wave::diverged(Stream &s) const {
  return to_host(s, diverged_.get(), std::size_t(networks_));
}

std::vector<std::int32_t> Wave::ended(Stream &s) const {
  return ended_ ? to_host(s, ended_.get(), std::size_t(networks_)) : std::vector<std::int32_t>();
}
std::vector<std::int32_t> Wave::updates(Stream &s) const {
  auto made = due_;
  const auto ends = ended(s);
  for (std::size_t row = 0; row < made.size() && !ends.empty(); ++row)
    if (const std::int32_t end = ends[row / checkpoints_]; end > 0)
      made[row] = std::min(made[row], end);
  return made;
}

std::vector<std::pair<const char *, std::pair<float *, std::size_t>>> Wave::vectors() const {
  const std::size_t n = std::size_t(networks_), v = n * layout_.size();
  std::vector<std::pair<const char *, std::pair<float *, std::size_t>>> all{
      {"theta", {theta_, v}}, {"moment1", {moment1_, v}}, {"row_loss", {row_loss_, n * checkpoints_}}};
  if (moment2_.planned())
    all.push_back({"moment2", {moment2_, v}});
  if (average_.planned())
    all.push_back({"average", {average_, v}});
  if (adapted_)
    all.push_back({"adapter", {adapted_->adapter(), n * adapted_->adapters()}});
  return all;
}

std::vector<StateTensor> Wave::save(Stream &s, long step) const {
  std::vector<StateTensor> tensors;
  for (const auto &[name, vector] : vectors())
    tensors.push_back(state_of(s, name, vector.first, vector.second));
  if (file_)
    file_->sync();
  else if (const auto made = updates(s); std::any_of(made.begin(), made.end(), [&](auto row) { return row <= step; }))
    tensors.push_back(state_of(s, "rows", rows_, due_.size() * layout_.size()));
  const auto add = [&](const char *name, const std::vector<std::int32_t> &marks) {
    tensors.push_back({name, marks.size(), [marks](const StateTensor::Take &take) {
                         const std::vector<float> numbers(marks.begin(), marks.end());
                         take(numbers.data(), numbers.size());
                       }});
  };
  add("diverged", diverged(s));
  if (ended_)
    add("ended", ended(s));
  return tensors;
}

void Wave::load(Stream &s, const SavedState &from) {
  for (const auto &[name, vector] : vectors())
    from.read(s, name, vector.first, vector.second);
  if (from.has("rows"))
    from.read(s, "rows", rows_, due_.size() * layout_.size());
  const auto restore = [&](const char *name, std::int32_t *to) {
    const auto marks = from.tensor(name);
    const std::vector<std::int32_t> numbers(marks.begin(), marks.end());
    if (numbers.size() != std::size_t(networks_))
      throw InputError("zoo state: '", name, "': found ", numbers.size(), " values, expected ", networks_);
    copy(s, to, numbers.data(), numbers.size() * sizeof(std::int32_t));
    s.synchronize();
  };
  restore("diverged", diverged_);
  if (ended_)
    restore("ended", ended_);
}

} // namespace theta
