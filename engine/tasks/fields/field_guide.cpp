#include "field_guide.h"
#include "kernels/operations/add.h"
#include <algorithm>

namespace theta {

FieldGuide::FieldGuide(const NetworkShape &shape, std::vector<float> inputs, std::vector<float> values, int batch)
    : model_(shape), inputs_(std::move(inputs)), values_(std::move(values)),
      points_(int(inputs_.size()) / inputs_of(shape)), batch_(batch) {
  const auto reserve = [&](const char *name, int width) {
    return plan_.reserve<float>(name, MemoryClass::data, {batch, points_, width}, "sample.batch");
  };
  x_ = reserve("guide.points", inputs_of(shape));
  wanted_ = reserve("guide.wanted", outputs_of(shape)), missed_ = reserve("guide.missed", outputs_of(shape));
  model_.plan(plan_, true, batch, points_);
  plan_.place();
}

// The batch's samples beyond the last that something is known of are guided as it is.
void FieldGuide::begin(Stream &s, std::size_t first) {
  const std::size_t n = std::size_t(points_) * std::size_t(outputs_of(model_.shape())), known = values_.size() / n;
  for (std::size_t i = 0; i < std::size_t(batch_); ++i) {
    copy(s, x_ + i * inputs_.size(), inputs_.data(), inputs_.size() * sizeof(float));
    copy(s, wanted_ + i * n, values_.data() + std::min(first + i, known - 1) * n, n * sizeof(float));
  }
  s.synchronize();
}

std::vector<double> FieldGuide::slope(Stream &s, float *gradient, const float *theta) {
  const std::size_t n = std::size_t(points_) * std::size_t(outputs_of(model_.shape())), batch = std::size_t(batch_);
  const float *out = model_.forward(s, theta, x_);
  add_scaled<float>(s, missed_, out, wanted_, -1, batch * n);
  fill_zero(s, gradient, batch * model_.layout().size() * sizeof(float));
  model_.backward(s, theta, gradient, missed_, x_);
  const auto missed = to_host(s, missed_.get(), batch * n);
  std::vector<double> f(batch, 0);
  for (std::size_t i = 0; i < missed.size(); ++i)
    f[i / n] += 0.5 * double(missed[i]) * double(missed[i]);
  return f;
}

} // namespace theta
