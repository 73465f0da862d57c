#include "examples.h"
#include <cmath>
#include <numbers>

namespace theta {

namespace {

// From planes [channels, pixels] of an image to what a field learns at each point, [pixels, channels].
std::vector<std::uint8_t> by_point(const std::vector<std::uint8_t> &images, const DatasetSizes &sizes) {
  const auto area = std::size_t(sizes.pixels), channels = std::size_t(sizes.channels);
  std::vector<std::uint8_t> points(images.size());
  for (std::size_t i = 0; i < images.size(); i += area * channels)
    for (std::size_t c = 0; c < channels; ++c)
      for (std::size_t p = 0; p < area; ++p)
        points[i + p * channels + c] = images[i + c * area + p];
  return points;
}

} // namespace

void TrainingPart::plan(MemoryPlan &plan) {
  const auto train = std::int64_t(signals_);
  bytes_ = plan.reserve<std::uint8_t>("zoo.images", MemoryClass::data, {train, sizes_.values()}, "data.pool");
  if (is_classifier(shape_))
    labels_ = plan.reserve<std::uint8_t>("zoo.labels", MemoryClass::data, {train});
  else
    coordinates_ = plan.reserve<float>("zoo.coordinates", MemoryClass::data, {sizes_.pixels, inputs_of(shape_)});
}

Examples TrainingPart::upload(Stream &s, const Dataset &data, const std::vector<std::uint32_t> *chosen) const {
  const std::size_t values = std::size_t(sizes_.values());
  std::vector<std::uint8_t> some;
  if (chosen)
    for (const std::uint32_t signal : *chosen)
      some.insert(some.end(), data.train.pixels.begin() + std::ptrdiff_t(signal * values),
                  data.train.pixels.begin() + std::ptrdiff_t((signal + 1) * values));
  const auto &images = chosen ? some : data.train.pixels;
  const auto pixels = is_classifier(shape_) ? images : by_point(images, sizes_);
  copy(s, bytes_, pixels.data(), pixels.size());
  Examples examples;
  if (is_classifier(shape_)) {
    copy(s, labels_, data.train.labels.data(), data.train.labels.size());
    examples.images = {bytes_,       labels_,     std::uint32_t(sizes_.train), sizes_.values(), sizes_.classes,
                       data.scale(), data.shift()};
  } else {
    const auto points = encoded(data.coordinates(), shape_.octaves);
    copy(s, coordinates_, points.data(), points.size() * sizeof(float));
    // Signals lie in ±1/2, for outputs that begin at 0.
    examples.field = {
        coordinates_, bytes_, std::uint32_t(signals_), std::uint32_t(sizes_.pixels), inputs_of(shape_), sizes_.channels,
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
