// Generates networks with a trained weight transformer: noise, carried to data by a solver of
// engine/diffusion/solver.h, and taken back to weights. Sample i depends on the seed, on what it is told, and on i
// alone.
#pragma once
#include "engine/generators/emit.h"
#include "engine/generators/prompts.h"
#include "token_coder.h"
#include <functional>

namespace theta {

struct SolverOptions {
  SolverKind solver = SolverKind::heun;
  int steps = 50, batch = 50;
  double eta = 0;      // of ddim
  double guidance = 1; // told + (guidance − 1)·(told − untold): 1 as trained (Ho & Salimans, 2022)
  std::uint64_t seed = 1;
};

class TransformerSampler {
public:
  TransformerSampler(const TransformerConfig &, const NetworkFacts &, SolverOptions);
  TransformerSampler(const TransformerSampler &) = delete;

  const MemoryPlan &plan() const { return plan_; }

  // Throws InputError where prompts are not of these sizes.
  void run(Device, const Transformer &, std::size_t samples, const Prompts &, const EmitNetwork &emit);

private:
  const float *predict(Stream &, const Parameters<float> &, const float *z, double t);
  void tell(Stream &, const Transformer &, const Prompts &, std::size_t first, std::size_t count);

  SolverOptions options_;
  std::size_t parameters_;
  TokenCoder coder_;
  Conditions conditions_;
  bool start_, residual_, guided_;
  double noise_scale_;
  Solver solver_;
  WeightTransformer<float> model_;
  MemoryPlan plan_{"sample", "sample.batch"};
  Tensor<float> values_; // [parameters]
  Tensor<bf16> narrow_values_;
  Tensor<std::int32_t> place_;                         // [S]
  Tensor<float> mean_, std_;                           // [S]
  Tensor<float> x_, next_, prediction_, start_tokens_; // [batch, S]
  Tensor<float> told_prediction_;                      // [batch, S]
  Tensor<float> t_, told_, theta_, staging_;           // [batch], [2·K, batch], [batch, V], [V]
};

} // namespace theta
