// What classifiers learn: all of them the same labelled images; they are scored on the test images, by which they are
// judged, and on the validation images, of which generators may be told.
#include "engine/zoo/evaluator.h"
#include "engine/zoo/learning.h"
#include "kernels/operations/gather.h"
#include "kernels/operations/reduce.h"
#include "kernels/operations/softmax_cross_entropy.h"
#include <cmath>

namespace theta {

namespace {

class ImagePart : public TrainingPart {
public:
  explicit ImagePart(const DatasetSizes &sizes) : TrainingPart(sizes) {}
  void plan(MemoryPlan &plan) override {
    const auto train = std::int64_t(sizes_.train);
    bytes_ = plan.reserve<std::uint8_t>("zoo.images", MemoryClass::data, {train, sizes_.values()}, "data.pool");
    labels_ = plan.reserve<std::uint8_t>("zoo.labels", MemoryClass::data, {train});
  }
  Examples upload(Stream &s, const Dataset &data, const std::vector<std::uint32_t> *) const override {
    copy(s, bytes_, data.train.pixels.data(), data.train.pixels.size());
    copy(s, labels_, data.train.labels.data(), data.train.labels.size());
    Examples examples;
    examples.images = {bytes_,          labels_,        std::uint32_t(sizes_.train),
                       sizes_.values(), sizes_.classes, data.scale(),
                       data.shift(),    sizes_.channels};
    s.synchronize();
    return examples;
  }
  void score_on(Evaluator &evaluator, Stream &s, const Dataset &data, const Examples &,
                std::size_t part) const override {
    evaluator.upload(s, data, part == 0 ? data.test : data.validation);
  }

private:
  Tensor<std::uint8_t> bytes_, labels_; // [train, values], [train]
};

// The mean cross-entropy.
class LabelLoss : public BatchLoss {
public:
  LabelLoss(const NetworkShape &shape, const ZooRecipe &recipe)
      : inputs_(inputs_of(shape)), classes_(outputs_of(shape)), smoothing_(recipe.label_smoothing.values[0]),
        augment_(recipe.augment) {}
  void plan(MemoryPlan &plan, int networks, int batch) override {
    batch_ = batch;
    x_ = plan.reserve<float>("zoo.x", MemoryClass::activations, {networks, batch, inputs_}, "zoo.wave, zoo.batch");
    label_ = plan.reserve<std::uint8_t>("zoo.batch_labels", MemoryClass::activations, {networks, batch});
    row_loss_ = plan.reserve<float>("zoo.row_loss", MemoryClass::activations, {networks, batch});
  }
  void plan_done(MemoryPlan &plan) override { plan.release(x_, label_, row_loss_); }
  void compute(Stream &s, LayeredNetworks<float> &networks, const TrainingRuns<float> &runs, const Examples &examples,
               float *gradient, long step) const override {
    const ImageSet &set = examples.images;
    const int n = runs.networks;
    const int side = int(std::lround(std::sqrt(double(set.pixels / set.channels))));
    gather_images<float>(s, x_, label_, set.image, set.label, set.pixels, set.scale, set.shift,
                         {n, batch_, set.examples, runs.seed, runs.first_run, std::uint64_t(step)},
                         {augment_.crop, augment_.flip, augment_.cutout, set.channels, side, side});
    float *logits = networks.forward(s, runs.theta, x_);
    softmax_cross_entropy<float>(s, row_loss_, logits, logits, label_,
                                 {n * batch_, classes_, n * batch_, smoothing_, 1.0 / batch_});
    fill_zero(s, runs.loss, std::size_t(n) * sizeof(float));
    row_sum<float>(s, runs.loss, row_loss_, n, std::size_t(batch_), 1.0 / batch_);
    networks.backward(s, runs.theta, gradient, logits, x_);
  }

private:
  int inputs_, classes_, batch_ = 0;
  double smoothing_;
  AugmentRecipe augment_;
  Tensor<float> x_, row_loss_; // [networks, batch, inputs], [networks, batch]
  Tensor<std::uint8_t> label_; // [networks, batch]
};

class LabelledImages : public Learning {
public:
  const char *name() const override { return "labels"; }
  void check(const ZooRecipe &r) const override {
    if (r.start == StartKind::base)
      throw InputError("zoo.start: found base, expected own or shared for networks that all learn the same");
    if (r.stop_psnr > 0)
      throw InputError("zoo.stop_psnr: found ", r.stop_psnr, ", expected 0 for networks that are no fields");
  }
  std::vector<ScoredPart> scored_on(const DatasetSizes &sizes) const override {
    std::vector<ScoredPart> parts{{"test", sizes.test, "test_loss", "test_accuracy"}};
    if (sizes.validation > 0)
      parts.push_back({"validation", sizes.validation, "validation_loss", "validation_accuracy"});
    return parts;
  }
  std::unique_ptr<BatchLoss> batch_loss(const NetworkShape &shape, const ZooRecipe &recipe) const override {
    return std::make_unique<LabelLoss>(shape, recipe);
  }
  std::unique_ptr<TrainingPart> part(const NetworkShape &, const DatasetSizes &sizes, std::size_t) const override {
    return std::make_unique<ImagePart>(sizes);
  }
};

} // namespace

std::unique_ptr<const Learning> make_labelled_images() { return std::make_unique<LabelledImages>(); }

} // namespace theta
