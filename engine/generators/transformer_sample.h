// Generates networks with a trained weight transformer: noise, carried along the learned velocity from t = 1 to 0 by
// Heun's method (Karras et al., 2022, alg. 1) or Euler's, and taken back to weights. Sample i depends on the seed and i
// alone.
#pragma once
#include "transformer.h"
#include <functional>

namespace theta {

enum class FlowSampler { heun, euler };
FlowSampler flow_sampler_named(std::string_view name); // throws InputError
const char *name_of(FlowSampler);

struct FlowOptions {
  FlowSampler sampler = FlowSampler::heun;
  int steps = 50, batch = 50;
  std::uint64_t seed = 1;
};

class TransformerSampler {
public:
  TransformerSampler(const TransformerConfig &, const NetworkFacts &, FlowOptions);
  TransformerSampler(const TransformerSampler &) = delete;

  const MemoryPlan &plan() const { return plan_; }

  // Calls emit(first, count, theta [count, V] in host memory) for every batch of samples first..first+count−1.
  void run(Device, const Transformer &, std::size_t samples,
           const std::function<void(std::size_t, std::size_t, const float *)> &emit);

private:
  FlowOptions options_;
  std::size_t parameters_;
  TokenCoder coder_;
  WeightTransformer<float> model_;
  MemoryPlan plan_{"sample"};
  Slot values_, mean_, std_, x_, next_, velocity_, t_;
};

} // namespace theta
