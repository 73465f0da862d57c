// Condition embeddings of the weight transformer: the time and the conditions of each sample, by one of two ways.
//   modulation  one vector a sample, silu(c), where
//               c = time.2(silu(time.0(features(t)) + Σ conditions.k(features(number k))))
//   tokens      a token each, in front of the network's
// A condition that is not given (NaN) is its bias alone. By modulation a vector can be a condition too (context): a
// linear layer of it is one more of the sum.
#pragma once
#include "engine/generators/condition_shape.h"
#include "engine/layers/linear.h"
#include "engine/memory/plan.h"
#include "kernels/operations/activation.h"
#include <optional>

namespace theta {

enum class ConditionWay { modulation, tokens };

template <class T> class Tellers {
public:
  // Adds time.0, conditions.NAME and, for modulation, time.2 to the layout.
  Tellers(Layout &, int width, int features, const std::vector<ConditionShape> &, ConditionWay, Arithmetic,
          int context = 0);

  bool in_tokens() const { return !time2_; }
  void plan_forward(MemoryPlan &, int batch);
  void plan_backward(MemoryPlan &);

  // time [batch], conditions [K, batch], context [batch, its width] or null. Into silu(), or into the first 1 + K
  // tokens of each sample of h, samples being `row` elements apart.
  void forward(Stream &, const Parameters<T> &, const T *time, const T *conditions, const T *context, T *h,
               std::size_t row) const;
  // From d_silu(), or from the gradient of those tokens; gradients of parameters are added to, d_context() is written.
  void backward(Stream &, const Parameters<T> &, const T *context, const T *d_h, std::size_t row) const;

  T *silu() const { return silu_; }           // [batch, width], for modulation
  T *d_silu() const { return d_silu_; }       // the same: what reads silu() adds its gradient here
  T *d_context() const { return d_context_; } // [batch, its width]

private:
  // A number or label.
  struct Teller {
    ConditionShape shape;
    Linear linear;
    Tensor<T> features{}, h{}; // [batch, features or classes], [batch, width]
  };
  BiasAct silu_act() const { return {1, batch_, width_, 0, Activation::silu}; }

  int width_, features_, batch_ = 0;
  std::vector<Teller> tellers_; // the first is time's
  std::optional<Linear> context_, time2_;
  Tensor<T> context_h_, d_context_;
  Tensor<T> time_pre_, time_act_, condition_, silu_, d_silu_, d_time_; // [batch, width]
};

} // namespace theta
