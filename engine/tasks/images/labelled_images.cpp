// What classifiers learn: all of them the same labelled images; they are scored on the test images, by which they are
// judged, and on the validation images, of which generators may be told.
#include "engine/zoo/evaluator.h"
#include "engine/zoo/learning.h"
#include "kernels/operations/add.h"
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

// A draw from Beta(a, a), a <= 1 (Jöhnk 1964), the same for a network and step always.
double drawn_share(double a, std::uint64_t seed, std::uint32_t network, long step) {
  for (std::uint64_t turn = 0;; ++turn) {
    const Bits4 bits = philox(seed, Purpose::mixture, network, std::uint64_t(step) << 16 | turn);
    const double x = std::pow(double(uniform01(bits.word[0])), 1 / a),
                 y = std::pow(double(uniform01(bits.word[1])), 1 / a);
    if (x + y > 0 && x + y <= 1)
      return x / (x + y);
  }
}

// The mean cross-entropy. With mixup (Zhang et al., 2018) a batch is λ of itself and 1 − λ of a second one, drawn in an
// order of its own, and so are its labels; a network's λ is the same for a whole batch.
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
    if (augment_.mixup == 0)
      return;
    other_x_ = plan.reserve<float>("zoo.other_x", MemoryClass::activations, {networks, batch, inputs_}, "zoo.batch");
    other_label_ = plan.reserve<std::uint8_t>("zoo.other_labels", MemoryClass::activations, {networks, batch});
    other_d_ = plan.reserve<float>("zoo.other_d", MemoryClass::activations, {networks, batch, classes_});
  }
  void plan_done(MemoryPlan &plan) override {
    plan.release(x_, label_, row_loss_);
    if (augment_.mixup > 0)
      plan.release(other_x_, other_label_, other_d_);
  }
  void compute(Stream &s, LayeredNetworks<float> &networks, const TrainingRuns<float> &runs, const Examples &examples,
               float *gradient, long step) const override {
    const ImageSet &set = examples.images;
    const int n = runs.networks;
    const int side = int(std::lround(std::sqrt(double(set.pixels / set.channels))));
    const auto gather = [&](float *x, std::uint8_t *label, std::uint32_t stream) {
      gather_images<float>(s, x, label, set.image, set.label, set.pixels, set.scale, set.shift,
                           {n, batch_, set.examples, runs.seed, stream, std::uint64_t(step)},
                           {augment_.crop, augment_.flip, augment_.cutout, set.channels, side, side});
    };
    gather(x_, label_, runs.first_run);
    std::vector<double> share(std::size_t(n), 1.0);
    if (augment_.mixup > 0) {
      gather(other_x_, other_label_, runs.first_run | 1u << 31);
      const std::size_t of_one = std::size_t(batch_) * std::size_t(inputs_), all = of_one * std::size_t(n);
      add_scaled<float>(s, other_x_, other_x_, x_, -1, all);
      for (std::size_t i = 0; i < share.size(); ++i) {
        share[i] = drawn_share(augment_.mixup, runs.seed, runs.first_run + std::uint32_t(i), step);
        add_scaled<float>(s, x_ + i * of_one, x_ + i * of_one, other_x_ + i * of_one, 1 - share[i], of_one);
      }
    }
    float *logits = networks.forward(s, runs.theta, x_);
    fill_zero(s, runs.loss, std::size_t(n) * sizeof(float));
    if (augment_.mixup > 0)
      for (std::size_t i = 0; i < share.size(); ++i)
        add_loss(s, runs.loss + i, other_d_, logits, other_label_, i, 1, 1 - share[i]);
    for (std::size_t i = 0; i < (augment_.mixup > 0 ? share.size() : 1); ++i)
      add_loss(s, runs.loss + i, logits, logits, label_, i, augment_.mixup > 0 ? 1 : n, share[i]);
    if (augment_.mixup > 0)
      add_scaled<float>(s, logits, logits, other_d_, 1, std::size_t(n * batch_ * classes_));
    networks.backward(s, runs.theta, gradient, logits, x_);
  }

private:
  // `share` of the losses of networks first..first+n−1, added to, and of their gradient, written.
  void add_loss(Stream &s, float *loss, float *d, const float *logits, const std::uint8_t *label, std::size_t first,
                int n, double share) const {
    const std::size_t row = first * std::size_t(batch_), at = row * std::size_t(classes_);
    softmax_cross_entropy<float>(s, row_loss_ + row, d + at, logits + at, label + row,
                                 {n * batch_, classes_, n * batch_, smoothing_, share / batch_});
    row_sum<float>(s, loss, row_loss_ + row, n, std::size_t(batch_), share / batch_);
  }

  int inputs_, classes_, batch_ = 0;
  double smoothing_;
  AugmentRecipe augment_;
  Tensor<float> x_, row_loss_;      // [networks, batch, inputs], [networks, batch]
  Tensor<std::uint8_t> label_;      // [networks, batch]
  Tensor<float> other_x_, other_d_; // with mixup: [networks, batch, inputs], [networks, batch, classes]
  Tensor<std::uint8_t> other_label_;
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
