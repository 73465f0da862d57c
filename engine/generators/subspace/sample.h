// Networks of a subspace: coefficients by the flow, then window after window of the networks' parameters, from the
// directions in the generator's file. Nobody holds a network.
#pragma once
#include "engine/generators/generator.h"
#include "engine/generators/transformer/sample.h"
#include "subspace.h"

namespace theta {

class SubspaceSampler {
public:
  SubspaceSampler(const SubspaceConfig &, int directions, std::size_t parameters, SolverOptions);
  SubspaceSampler(const SubspaceSampler &) = delete;

  std::vector<const MemoryPlan *> plans() const { return {&flow_.plan(), &plan_}; }

  void run(Device, const Subspace &, const std::filesystem::path &file, std::size_t samples, const Prompts &,
           const EmitPart &emit);

private:
  std::size_t directions_, parameters_, window_;
  int batch_;
  TransformerSampler flow_;
  MemoryPlan plan_{"sample.windows", "sample.batch"};
  Tensor<float> coefficient_, window_directions_, mean_, theta_; // [batch, d], [d, window], [window], [batch, window]
  Tensor<float> directions_staging_, theta_staging_;             // the same
};

} // namespace theta
