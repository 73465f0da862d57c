#include "renderer.h"
#include "engine/memory/arena.h"
#include "engine/networks/field.h"
#include "engine/networks/kind.h"
#include "engine/training/interrupt.h"
#include "signals.h"
#include <algorithm>

namespace theta {

FieldRenderer::FieldRenderer(const NetworkShape &shape, const std::vector<float> &points, int dimensions, int wave,
                             const std::string &stage)
    : shape_(shape), parameters_(layout_of(shape).size()), points_(int(points.size()) / dimensions),
      outputs_(outputs_of(shape)), wave_(wave), inputs_(encoded(points, octaves_of(shape))), plan_(stage, "eval.wave") {
  if (!is_field(shape) || inputs_of(shape) != field_inputs(dimensions, octaves_of(shape)))
    throw InputError("render: found networks ", architecture_of(shape), ", expected fields of ", dimensions,
                     " coordinates");
  if (shape.kind->is_signal() && parameters_ != values())
    throw InputError("render: found signals of ", parameters_, " values, expected ", values(),
                     ": they are known at their own points alone");
  const std::int64_t v = std::int64_t(parameters_);
  x_ = plan_.reserve<float>("render.points", MemoryClass::data, {points_, inputs_of(shape)});
  theta_ = plan_.reserve<float>("render.theta", MemoryClass::weights, {wave_, v});
  staging_ = plan_.reserve<float>("render.staging", MemoryClass::staging, {v});
  if (!shape.kind->is_signal()) {
    model_.emplace(shape);
    model_->plan(plan_, false, wave_, std::min(points_, points_at_once));
  }
  plan_.place();
}

void FieldRenderer::render(Device device, std::size_t fields, const NetworkOf &network, const Take &take) {
  const std::size_t v = parameters_, inputs = std::size_t(inputs_of(shape_)), n = values();
  Stream s(device);
  const Arena arena(device, plan_);
  copy(s, x_, inputs_.data(), inputs_.size() * sizeof(float));
  s.synchronize();
  float *staging = staging_, *theta = theta_;
  std::vector<float> picture(std::size_t(wave_) * n);
  for (std::size_t first = 0; first < fields; first += std::size_t(wave_)) {
    stop_if_interrupted("render");
    const std::size_t count = std::min(std::size_t(wave_), fields - first);
    for (std::size_t i = 0; i < count; ++i) {
      network(first + i, staging);
      copy(s, theta + i * v, staging, v * sizeof(float));
      s.synchronize();
    }
    const int at_once = model_ ? points_at_once : points_;
    for (int at = 0; at < points_; at += at_once) {
      const int rows = std::min(at_once, points_ - at);
      const std::size_t part = std::size_t(rows) * std::size_t(outputs_);
      const float *out = model_ ? model_->infer(s, theta, x_ + std::size_t(at) * inputs, int(count), rows) : theta;
      const auto values = to_host(s, out, count * part);
      for (std::size_t i = 0; i < count; ++i)
        std::transform(values.begin() + std::ptrdiff_t(i * part), values.begin() + std::ptrdiff_t((i + 1) * part),
                       picture.begin() + std::ptrdiff_t(i * n + std::size_t(at) * std::size_t(outputs_)), shown);
    }
    for (std::size_t i = 0; i < count; ++i)
      take(first + i, picture.data() + i * n);
  }
}

} // namespace theta
