#include "shown.h"
#include "engine/networks/kind.h"
#include "engine/networks/subset.h"
#include "kernels/operations/gather.h"
#include "kernels/operations/optimizer.h"

namespace theta {

ShownExamples::ShownExamples(const ZooTask &task, const DatasetSizes &sizes, int batches, int at_once, Backend)
    : recipe_(task.recipe), seed_(task.seed), batches_(batches), at_once_(at_once), shape_(task.network),
      networks_(task.network.kind->layered(task.network)),
      loss_(learning_of(task.network).batch_loss(task.network, task.recipe)),
      part_(learning_of(task.network).part(task.network, sizes)) {
  const bool no_change = is_low_rank(task.network) && !fixed_factors(task.network).empty();
  if (!is_subset(task.network) || (recipe_.start != StartKind::trunk && !no_change))
    throw InputError("fit.shown: found ", batches,
                     ", expected 0, or networks that begin as one trunk (network.fixed_a, or "
                     "zoo.start = trunk): elsewhere gradients mean something else for each");
  parameters_ = networks_->layout().size();
  const std::int64_t n = at_once, v = std::int64_t(parameters_);
  const auto vector = [&](const char *name, MemoryClass kind) {
    return plan_.reserve<float>(name, kind, {n, v}, "zoo.wave");
  };
  part_->plan(plan_);
  theta_ = vector("shown.theta", MemoryClass::weights), gradient_ = vector("shown.gradient", MemoryClass::gradients);
  moment1_ = vector("shown.moment1", MemoryClass::optimizer),
  moment2_ = vector("shown.moment2", MemoryClass::optimizer);
  losses_ = plan_.reserve<float>("shown.losses", MemoryClass::workspace, {n});
  loss_->plan(plan_, at_once, recipe_.batch);
  networks_->plan(plan_, true, at_once, recipe_.batch);
  loss_->plan_done(plan_);
  plan_.place();
}

void ShownExamples::begin(Device device, const Dataset &data) {
  stream_ = std::make_unique<Stream>(device);
  arena_ = std::make_unique<Arena>(device, plan_);
  examples_ = part_->upload(*stream_, data);
  start_ = row_of_trunk(shape_);
}

// Adds to the gradient of each network that of mini-batch `batch` behind all that training draws.
void ShownExamples::compute(int run, long batch) {
  TrainingRuns<float> runs{};
  runs.networks = at_once_, runs.parameters = parameters_, runs.seed = seed_, runs.first_run = std::uint32_t(run);
  runs.theta = theta_, runs.loss = losses_;
  networks_->move_state_of(theta_, 0);
  loss_->compute(*stream_, *networks_, runs, examples_, gradient_, recipe_.steps + batch);
}

void ShownExamples::begin_all() const {
  copy(*stream_, theta_, start_.data(), parameters_ * sizeof(float));
  if (at_once_ > 1)
    copy_rows<float>(*stream_, theta_ + parameters_, parameters_, theta_, 0, at_once_ - 1, parameters_);
}

void ShownExamples::gradients(int run, float *gradient) {
  const std::size_t n = std::size_t(at_once_) * parameters_;
  begin_all();
  fill_zero(*stream_, gradient_, n * sizeof(float));
  for (long k = 0; k < batches_; ++k)
    compute(run, k);
  copy(*stream_, gradient, gradient_, n * sizeof(float));
  stream_->synchronize();
  for (std::size_t i = 0; i < n; ++i)
    gradient[i] /= float(batches_);
}

void ShownExamples::train(int run, double lr, float *theta) {
  const std::size_t n = std::size_t(at_once_) * parameters_;
  begin_all();
  for (float *each : {gradient_.get(), moment1_.get(), moment2_.get()})
    fill_zero(*stream_, each, n * sizeof(float));
  for (long k = 0; k < batches_; ++k) {
    compute(run, k);
    adam_step<float>(*stream_, theta_, moment1_, moment2_, nullptr, gradient_, n,
                     {.lr = lr, .beta1 = recipe_.beta1, .beta2 = recipe_.beta2, .eps = recipe_.eps, .step = k + 1});
  }
  copy(*stream_, theta, theta_, n * sizeof(float));
  stream_->synchronize();
}

std::vector<float> ShownExamples::losses(int run, const float *theta) {
  const std::size_t n = std::size_t(at_once_) * parameters_;
  copy(*stream_, theta_, theta, n * sizeof(float));
  fill_zero(*stream_, gradient_, n * sizeof(float));
  std::vector<float> mean(std::size_t(at_once_), 0);
  constexpr int more = 3;
  for (long k = 0; k < more; ++k) {
    compute(run, batches_ + k);
    const auto some = to_host(*stream_, losses_.get(), mean.size());
    for (std::size_t i = 0; i < mean.size(); ++i)
      mean[i] += some[i] / float(more);
  }
  return mean;
}

std::vector<float> ShownExamples::summary(int run, const Dataset &data) const {
  return part_->summary(recipe_, seed_, run, batches_, data);
}

} // namespace theta
