// What fields are: the values of their signals, anywhere.
#pragma once
#include "engine/memory/plan.h"
#include "engine/networks/layered_program.h"
#include "engine/zoo/evaluator.h"

namespace theta {

// Fields of one shape at the same points, layer by layer in fp32 on every device.
class FieldRenderer {
public:
  // points [points, dimensions] in −1..1; `wave` fields at a time. Throws InputError for networks that are no fields of
  // so many dimensions, or, where their weights are values, have others than there are points.
  FieldRenderer(const NetworkShape &, const std::vector<float> &points, int dimensions, int wave,
                const std::string &stage = "render");
  FieldRenderer(const FieldRenderer &) = delete;

  const MemoryPlan &plan() const { return plan_; }

  // The fields' values, each [points, outputs], 0 to 1 where their signals are (outputs of a field and a half, as
  // training has it): not clipped.
  using Take = std::function<void(std::size_t field, const float *values)>;
  void render(Device, std::size_t fields, const NetworkOf &, const Take &);

  std::size_t values() const { return std::size_t(points_) * std::size_t(outputs_); }

private:
  static constexpr int points_at_once = 1024;
  std::optional<LayeredProgram<float>> model_; // or else weights are values
  NetworkShape shape_;
  std::size_t parameters_;
  int points_, outputs_, wave_;
  std::vector<float> inputs_; // encoded
  MemoryPlan plan_;
  Tensor<float> x_, theta_, staging_; // [points, inputs], [wave, V], [V]
};

} // namespace theta
