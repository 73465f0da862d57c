// Networks of a subspace: coefficients by the flow, then window after window of the networks' parameters, from the
// directions in the generator's file. Nobody holds a network.
#pragma once
#include "engine/generators/flow/sample.h"
#include "engine/generators/generator.h"
#include "subspace.h"

namespace theta {

class SubspaceSampler {
public:
  SubspaceSampler(const SubspaceConfig &, int directions, std::size_t parameters, SolverOptions);
  SubspaceSampler(const SubspaceSampler &) = delete;

  std::vector<const MemoryPlan *> plans() const;

  void run(Device, const Subspace &, const std::filesystem::path &file, std::size_t samples, const Prompts &,
           const EmitPart &emit, std::size_t watched = 0, const EmitPart &watch = {}, Guide *guide = nullptr);

private:
  class CoefficientGuide;
  void upload_directions(Stream &, const Subspace &, const Safetensors &) const;
  // Of vectors of coefficients [samples, d].
  void expand(Stream &, const Safetensors &, const std::vector<float> &coefficients, const EmitPart &emit);

  std::size_t directions_, parameters_, window_;
  int batch_, steps_;
  bool guided_;
  FlowSampler flow_;
  MemoryPlan plan_{"sample.windows", "sample.batch"};
  Tensor<float> coefficient_, window_directions_, mean_, theta_; // [batch, d], [d, window], [window], [batch, window]
  MemoryPlan guide_plan_{"sample.guided", "sample.batch"};       // where it is: all directions, scaled, at once
  Tensor<float> guide_directions_, guide_mean_, guide_theta_, guide_slope_; // [d, V], [V], [batch, V] twice
  Tensor<float> directions_staging_, theta_staging_;                        // the same
};

} // namespace theta
