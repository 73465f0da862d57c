// What classifiers learn: all of them the same labelled images; they are scored on the test part.
#include "engine/zoo/evaluator.h"
#include "engine/zoo/learning.h"

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
    examples.images = {bytes_,       labels_,     std::uint32_t(sizes_.train), sizes_.values(), sizes_.classes,
                       data.scale(), data.shift()};
    s.synchronize();
    return examples;
  }
  void score_on(Evaluator &evaluator, Stream &s, const Dataset &data, const Examples &) const override {
    evaluator.upload(s, data, data.test);
  }

private:
  Tensor<std::uint8_t> bytes_, labels_; // [train, values], [train]
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
  std::size_t test_images(const DatasetSizes &sizes) const override { return sizes.test; }
  const char *quality() const override { return "test_accuracy"; }
  std::unique_ptr<TrainingPart> part(const NetworkShape &, const DatasetSizes &sizes, std::size_t) const override {
    return std::make_unique<ImagePart>(sizes);
  }
};

} // namespace

std::unique_ptr<const Learning> make_labelled_images() { return std::make_unique<LabelledImages>(); }

} // namespace theta
