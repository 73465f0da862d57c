// Finds the subspace of a zoo's networks, and learns the flow of their coefficients.
#pragma once
#include "engine/generators/flow/fit.h"
#include "engine/generators/generator.h"
#include "engine/weights/principal.h"
#include "subspace.h"

namespace theta {

class SubspaceFit {
public:
  // For `rows` training networks. Throws InputError for a configuration that cannot be.
  SubspaceFit(SubspaceConfig, const NetworkFacts &, std::size_t rows, std::uint64_t seed, Backend);

  std::vector<const MemoryPlan *> plans() const;

  // Leaves, in the folder of work.state, the coefficients as a zoo ("coefficients"), and writes work.file: whole or not
  // at all. What was there of an earlier try with the same key is not made again.
  void run(const FitWork &);

private:
  std::filesystem::path begun(const FitWork &w) const { return w.state.parent_path() / ".generator.begun"; }
  std::filesystem::path coefficients(const FitWork &w) const { return w.state.parent_path() / "coefficients"; }
  void find_subspace(const FitWork &, Subspace &);
  PrincipalComponents::Read reader(const FitWork &, std::unique_ptr<WorkFile> &aligned) const;

  SubspaceConfig config_;
  NetworkFacts facts_;
  std::size_t rows_;
  PrincipalComponents components_;
  MemoryPlan plan_{"fit.subspace.directions"};
  Tensor<float> row_; // [V], where networks are aligned
  FlowFit flow_;
};

} // namespace theta
