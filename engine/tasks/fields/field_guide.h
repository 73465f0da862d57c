// Samples that are fields, of whose signals some points are known.
#pragma once
#include "engine/generators/guide.h"
#include "engine/memory/arena.h"
#include "engine/networks/layered_program.h"

namespace theta {

class FieldGuide : public Guide {
public:
  // `inputs` [points, inputs of a field] are the known points as fields see them; `values` [signals, points, outputs]
  // are what samples 0, 1, ... should be there, as training has them (in ±1/2).
  FieldGuide(const NetworkShape &, std::vector<float> inputs, std::vector<float> values, int batch);

  const MemoryPlan &plan() const { return plan_; }
  void take(Device device) { arena_.emplace(device, plan_); } // its memory, until it goes

  void begin(Stream &, std::size_t first) override;
  std::vector<double> slope(Stream &, float *gradient, const float *theta) override;

private:
  LayeredProgram<float> model_;
  std::vector<float> inputs_, values_;
  int points_, batch_;
  MemoryPlan plan_{"sample.guide", "sample.batch"};
  Tensor<float> x_, wanted_, missed_; // [batch, points, inputs], [batch, points, outputs] twice
  std::optional<Arena> arena_;
};

} // namespace theta
