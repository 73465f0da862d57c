// Makes networks token by token, and hands them out window by window: memory is that of a token, its states and a
// window, whatever V is. A sample depends on the seed and its number alone, not on the window or the batch.
#pragma once
#include "engine/generators/flow/sample.h"
#include "engine/generators/generator.h"
#include "standard.h"
#include "windows.h"

namespace theta {

class WindowsSampler {
public:
  WindowsSampler(const WindowsConfig &, std::size_t parameters, SolverOptions);
  WindowsSampler(const WindowsSampler &) = delete;

  const MemoryPlan &plan() const { return plan_; }

  void run(Device, const Windows &, const std::filesystem::path &file, std::size_t samples, const EmitPart &emit);

private:
  const float *predict(Stream &, const Parameters<float> &, const float *x, double t, const float *context);
  void make_token(Stream &, const Parameters<float> &, const float *context, std::uint32_t first_sample,
                  std::size_t token);

  WindowsConfig config_;
  std::size_t parameters_;
  SolverOptions options_;
  Solver solver_;
  Recurrence<float> recurrence_;
  WeightTransformer<float> flow_;
  MemoryPlan plan_{"sample", "sample.batch"};
  Tensor<float> recurrence_values_, flow_values_;
  Tensor<bf16> narrow_values_;
  Tensor<float> x_, next_, t_, place_, state_; // [batch, chunk] twice, [batch] twice, [blocks, batch, state]
  Tensor<float> window_, token_,
      statistics_; // in host memory: [batch, window·chunk], [batch, chunk], [2, window·chunk]
};

} // namespace theta
