#include "examples.h"
#include <cmath>
#include <numbers>

namespace theta {

void TrainingPart::plan(MemoryPlan &plan) {
  const auto train = std::int64_t(sizes_.train);
  bytes_ = plan.reserve<std::uint8_t>("zoo.images", MemoryClass::data, {train, sizes_.pixels}, "data.pool");
  if (is_classifier(shape_))
    labels_ = plan.reserve<std::uint8_t>("zoo.labels", MemoryClass::data, {train});
  else
    coordinates_ = plan.reserve<float>("zoo.coordinates", MemoryClass::data, {sizes_.pixels, inputs_of(shape_)});
}

Examples TrainingPart::upload(Stream &s, const Dataset &data) const {
  copy(s, bytes_, data.train.pixels.data(), data.train.pixels.size());
  Examples examples;
  if (is_classifier(shape_)) {
    copy(s, labels_, data.train.labels.data(), data.train.labels.size());
    examples.images = {bytes_,       labels_,     std::uint32_t(sizes_.train), sizes_.pixels, sizes_.classes,
                       data.scale(), data.shift()};
  } else {
    const auto points = encoded(data.coordinates(), shape_.octaves);
    copy(s, coordinates_, points.data(), points.size() * sizeof(float));
    // Signals lie in ±1/2, for outputs that begin at 0.
    examples.field = {
        coordinates_, bytes_, std::uint32_t(sizes_.train), std::uint32_t(sizes_.pixels), inputs_of(shape_), 1,
        1 / 255.0,    -0.5};
  }
  s.synchronize();
  return examples;
}

std::vector<float> encoded(const std::vector<float> &points, int octaves) {
  std::vector<float> all;
  for (const float x : points) {
    all.push_back(x);
    for (int k = 0; k < octaves; ++k) {
      const double angle = std::ldexp(std::numbers::pi, k) * double(x);
      all.push_back(float(std::sin(angle))), all.push_back(float(std::cos(angle)));
    }
  }
  return all;
}

float psnr_of(float mean_squared_error) { return float(-10 * std::log10(double(mean_squared_error))); }

} // namespace theta
