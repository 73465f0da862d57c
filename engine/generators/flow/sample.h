// Generates networks with a trained flow: noise, carried to data by a solver of
// engine/diffusion/solver.h, and taken back to weights. Sample i depends on the seed, on its conditions, and on i
// alone.
#pragma once
#include "engine/generators/emit.h"
#include "engine/generators/guide.h"
#include "engine/generators/prompts.h"
#include "engine/networks/coded.h"
#include "token_coder.h"
#include "trained.h"
#include <functional>

namespace theta {

struct SolverOptions {
  SolverKind solver = SolverKind::heun;
  int steps = 50, batch = 50;
  double eta = 0;      // of ddim
  int between = 0;     // samples from one noise to the next; 0: a noise each
  double guidance = 1; // conditioned + (guidance − 1)·(conditioned − not): 1 as trained (Ho & Salimans, 2022)
  // Of networks with a form: at times below, what the model takes a sample for is rounded to it, so that what is still
  // noise can fit what has been rounded. (Text is rounded to words so: Li et al., "Diffusion-LM", 2022, section 4.2.)
  double round_below = 0;
  bool guided = false; // by what is known of samples (guide.h)
  std::uint64_t seed = 1;
};

class FlowSampler {
public:
  // Of networks that are coded so, with a model of their architecture. shape: of those that samples are rounded to.
  // Throws InputError where they have no form and the options say that they are rounded.
  FlowSampler(const FlowConfig &, TokenCoder, std::unique_ptr<FlowModel<float>>, SolverOptions,
              const std::optional<NetworkShape> &shape = {});
  // A weight transformer's.
  FlowSampler(const FlowConfig &, const NetworkFacts &, SolverOptions);
  FlowSampler(const FlowSampler &) = delete;

  const MemoryPlan &plan() const { return plan_; }

  // Throws InputError where prompts are not of these sizes. The first `watched` samples are shown to `watch` as they
  // come about: sample i's row r is i·(2·steps + 1) + r, its state at step r/2, or, of odd r, what the model takes it
  // for then. A guide must be given where the options say so.
  void run(Device, const TrainedFlow &, std::size_t samples, const Prompts &, const EmitNetwork &emit,
           std::size_t watched = 0, const EmitNetwork &watch = {}, Guide *guide = nullptr);

private:
  // Of codes as categories, what the model says becomes what its objective asks for.
  void answer(Stream &, float *prediction, const float *z) const;
  const float *predict(Stream &, const Parameters<float> &, const float *z, double t, Guide *);
  void guide(Stream &, Guide &, float *prediction, const float *z, double t);
  bool take_x0(Stream &, const float *prediction, const float *z, double t);
  void mean_x0(Stream &, float *prediction, const float *z, double t);
  void round(Stream &, float *prediction, const float *z, double t);
  void begin(Stream &, float *x, std::size_t first);
  void tell(Stream &, const TrainedFlow &, const Prompts &, std::size_t first, std::size_t count);

  SolverOptions options_;
  TokenCoder coder_;
  std::size_t parameters_;
  std::function<void(float *theta)> into_form_; // where samples are rounded
  Conditions conditions_;
  bool start_, residual_, guided_;
  double noise_scale_;
  Objective objective_;
  Path path_;
  Solver solver_;
  std::unique_ptr<FlowModel<float>> model_;
  MemoryPlan plan_{"sample", "sample.batch"};
  Tensor<float> values_; // [parameters]
  Tensor<bf16> narrow_values_;
  Tensor<std::int32_t> place_;                         // [S]
  Tensor<std::int32_t> second_;                        // [S], where codes are categories
  Tensor<float> mean_, std_;                           // [S]
  Tensor<float> x_, next_, prediction_, start_tokens_; // [batch, S]
  Tensor<float> told_prediction_;                      // [batch, S]
  Tensor<float> x0_;                                   // guided or rounded: [batch, S]
  Tensor<float> slope_, token_slope_;                  // guided: [batch, V], [batch, S]
  std::vector<float> token_variance_;                  // [S], up to a factor
  Tensor<float> zero_, inverse_;                       // and [S]: of deviations
  Tensor<float> t_, told_, theta_, staging_;           // [batch], [2·K, batch], [batch, V], [V]
};

} // namespace theta
