// What a flow's training and sampling need of a model that denoises networks: from noisy ones, the time
// of their noise, and their conditions, to what an objective asks for (kernels/operations/diffusion.h), element by
// element.
#pragma once
#include "engine/layers/parameters.h"
#include "engine/memory/plan.h"
#include "engine/networks/layout.h"

namespace theta {

template <class T> class FlowModel {
public:
  virtual ~FlowModel() = default;
  virtual const Layout &parameters() const = 0;
  virtual const Layout &buffers() const = 0;
  virtual const EarlyTensors &early() const = 0;
  // Whether Parameters::narrow_value is read.
  virtual bool reads_narrow() const = 0;

  // Rehearses a training step, or inference, of a batch: networks of the first architecture, of the second, ...
  virtual void plan_for(MemoryPlan &, const std::vector<int> &networks, Mode) = 0;
  // Whether padding is 0 in what it answers, and counts for nothing.
  virtual bool ignores_padding() const { return false; }
  // What it keeps on the device beside parameters, once an arena holds the plan.
  virtual void upload(Stream &) const {}

  // What the model is conditioned on: time [batch]; conditions [K, batch], NaN where not given; start like x; context
  // [batch, its elements], which must live until backward. Null where the model has none. seed, draw: what is left out
  // at random in training.
  struct Told {
    const T *time = nullptr, *conditions = nullptr, *start = nullptr, *context = nullptr;
    std::uint64_t seed = 0;
    std::uint32_t draw = 0;
  };
  // x: the batch's networks one after another, each the elements of its architecture; so the result.
  virtual const T *forward(Stream &, const Parameters<T> &, const T *x, const Told &) = 0;
  // The gradient of the output's loss goes where d_out() says, before backward.
  virtual T *d_out() const = 0;
  virtual void backward(Stream &, const Parameters<T> &) = 0;
};

} // namespace theta
