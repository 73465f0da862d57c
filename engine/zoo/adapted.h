// Trains fields that are one base, its weights multiplied by matrices of low rank: what is learned of a field is r
// numbers a unit on either side of a layer (as LoRA, Hu et al., 2022, but multiplied). Its rows are the whole weights.
#pragma once
#include "engine/networks/layered_program.h"
#include "kernels/operations/low_rank.h"
#include "layerwise.h"

namespace theta {

class Adapted {
public:
  // Throws InputError for what differs between runs, or a rank that leaves nothing low: more numbers than weights.
  Adapted(const ZooRecipe &, const NetworkShape &);
  void plan(MemoryPlan &, int networks);

  // Every run at the base [V]: u from ±√(3/rank), the same for all, so that one's numbers mean what another's mean; v
  // 0.
  void start(Stream &, std::uint64_t seed, const std::vector<float> &base);
  std::size_t adapters() const { return adapters_; } // numbers of a network
  float *adapter() const { return adapter_; }        // [networks, adapters], for its state

  // As Layerwise::train, on signals; moments are those of the adapters.
  void train(Stream &, const TrainingRuns<float> &runs, const Examples &, const std::vector<std::int32_t> &due,
             long first, long last, const Layerwise::KeepRow &keep);

private:
  LowRank layer(int l) const;
  void weights(Stream &, float *theta) const;
  void compute_losses(Stream &, const TrainingRuns<float> &runs, const Examples &, long step);

  ZooRecipe recipe_;
  RunRecipe each_;
  LayeredProgram<float> model_;
  int rank_, networks_ = 0;
  std::size_t adapters_ = 0;
  std::vector<std::size_t> at_;                     // of a layer's u in an adapter
  Tensor<float> base_, adapter_, gradient_, slope_; // [V], [networks, adapters], [networks, V], [networks, adapters]
  Tensor<float> largest_;                           // [networks]
  std::unique_ptr<BatchLoss> loss_;
};

} // namespace theta
