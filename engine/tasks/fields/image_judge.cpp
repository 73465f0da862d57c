#include "image_judge.h"
#include "engine/memory/arena.h"
#include "engine/training/interrupt.h"
#include <algorithm>

namespace theta {

ZooRecipe ImageJudge::recipe(long steps) {
  ZooRecipe r;
  r.steps = steps, r.batch = 128, r.lr = 2e-3, r.beta2 = 0.99;
  r.schedule.kind = LrKind::cosine, r.checkpoints = CheckpointKind::last;
  return r;
}

namespace {

NetworkShape judge_shape(const DatasetSizes &sizes, int features) {
  if (sizes.classes < 2)
    throw InputError("eval: found pictures without classes, expected some for a classifier to tell apart");
  return {{sizes.values(), 2 * features, features, sizes.classes}};
}

} // namespace

ImageJudge::ImageJudge(const DatasetSizes &sizes, std::uint64_t seed, Backend backend, long steps)
    : sizes_(sizes), steps_(steps),
      shape_(judge_shape(sizes, features)), eye_{{sizes.values(), 2 * features, features}},
      part_(learning_of(shape_).part(shape_, sizes)),
      wave_(recipe(steps), shape_, 1, seed, false, backend, trainer_for(backend, shape_, recipe(steps))), model_(eye_) {
  part_->plan(training_plan_), wave_.plan(training_plan_);
  training_plan_.place();
  theta_ = looking_plan_.reserve<float>("judge.theta", MemoryClass::weights, {std::int64_t(model_.layout().size())});
  x_ = looking_plan_.reserve<float>("judge.pictures", MemoryClass::data, {at_once, sizes.values()});
  model_.plan(looking_plan_, false, 1, at_once);
  looking_plan_.place();
}

void ImageJudge::train(Device device, const Dataset &data, Journal &journal) {
  const ZooRecipe r = recipe(steps_);
  scale_ = data.scale(), shift_ = data.shift();
  Stream s(device);
  const Arena arena(device, training_plan_);
  const Examples examples = part_->upload(s, data);
  wave_.start(s, 0, 1);
  Progress progress(journal, "eval: a classifier to judge by", "steps", double(r.steps));
  for (long step = 0; step < r.steps;) {
    stop_if_interrupted("eval");
    const long next = std::min(step + wave_.chunk(), r.steps);
    wave_.train(s, examples, step, next);
    progress.update(double(step = next));
  }
  weights_ = to_host(s, wave_.theta(), wave_.parameters());
}

auto ImageJudge::look(Device device, const std::vector<float> &pictures) const -> Opinion {
  const std::size_t values = std::size_t(sizes_.values()), count = pictures.size() / values,
                    classes = std::size_t(sizes_.classes), width = std::size_t(features);
  Stream s(device);
  const Arena arena(device, looking_plan_);
  copy(s, theta_, weights_.data(), model_.layout().size() * sizeof(float));
  s.synchronize();
  const float *last = weights_.data() + model_.layout().size(), *bias = last + classes * width;
  Opinion opinion{{count, width, std::vector<double>(count * width)}, std::vector<int>(count)};
  for (std::size_t first = 0; first < count; first += std::size_t(at_once)) {
    const std::size_t rows = std::min(std::size_t(at_once), count - first);
    std::vector<float> x(rows * values);
    std::transform(pictures.begin() + std::ptrdiff_t(first * values),
                   pictures.begin() + std::ptrdiff_t((first + rows) * values), x.begin(),
                   [&](float picture) { return float(double(picture) * 255 * scale_ + shift_); });
    copy(s, x_, x.data(), x.size() * sizeof(float));
    const auto seen = to_host(s, model_.infer(s, theta_, x_, 1, int(rows)), rows * width);
    for (std::size_t i = 0; i < rows; ++i) {
      const float *h = seen.data() + i * width;
      double best = 0;
      for (std::size_t c = 0; c < classes; ++c) {
        double logit = bias[c];
        for (std::size_t k = 0; k < width; ++k)
          logit += double(last[c * width + k]) * double(std::max(0.0f, h[k]));
        if (c == 0 || logit > best)
          best = logit, opinion.label[first + i] = int(c);
      }
      for (std::size_t k = 0; k < width; ++k)
        opinion.features.values[(first + i) * width + k] = double(std::max(0.0f, h[k]));
    }
  }
  return opinion;
}

} // namespace theta
