// An operation's work on a device, for N networks side by side.
#pragma once
#include "engine/memory/plan.h"
#include "kernels/device/arithmetic.h"
#include "kernels/operations/add.h"
#include "program.h"

namespace theta {

inline constexpr int most_operands = 2;

// What a step works on. Weights of network i begin at i·parameters; its part of a value at i·stride of that value, 0
// where all networks look at the same.
template <class T> struct StepWork {
  int networks, rows;     // rows: examples of each network
  std::size_t parameters; // V, with the state
  const T *theta;         // [networks, V]
  std::size_t trained;    // where a network's state begins
  Arithmetic arithmetic;  // of products
  T *state;               // theta, where forward in training may move it
  double momentum;        // by which running statistics move
  T *gradient;            // [networks, V], added to by backward
  bool trains; // whether the operation's own weights do; else it is as in inference, and their gradient is nobody's
  const T *x[most_operands];
  std::size_t stride[most_operands];
  T *y;
  // Backward: dy as it comes, d [like y] to work in (it may be dy), and where the gradients of the operands go: null
  // where nobody wants one, added to where another step has written there.
  const T *dy;
  T *d, *dx[most_operands];
  bool adds[most_operands];
};

struct StepSizes {
  std::string name; // of its tensors in a plan: "mlp"
  int number, networks, rows;
  bool training;
  const char *hint; // the setting that they grow with
};

template <class T> class Step {
public:
  virtual ~Step() = default;
  // What it has beside its value, until its backward in training, for its forward else.
  virtual void plan(MemoryPlan &, const StepSizes &) {}
  virtual void plan_done(MemoryPlan &) {}
  // In training it keeps what backward needs.
  virtual void forward(Stream &, const StepWork<T> &, bool training) = 0;
  virtual void backward(Stream &, const StepWork<T> &) = 0;
};

// Where a backward writes operand k's gradient: there, or where there is something to be added to, in d. Then
// hand_down.
template <class T> T *gradient_of(const StepWork<T> &w, int k = 0) { return w.dx[k] && !w.adds[k] ? w.dx[k] : w.d; }

// Where operand k's gradient is d, which is as large: to it, or added to it. n elements.
template <class T> void hand_down(Stream &s, const StepWork<T> &w, const T *d, std::size_t n, int k = 0) {
  if (d == w.dx[k])
    return;
  if (w.dx[k] && w.adds[k])
    add_scaled<T>(s, w.dx[k], w.dx[k], d, 1, n);
  else if (w.dx[k])
    copy(s, w.dx[k], d, n * sizeof(T));
}

// An operation O with steps Of<float> and Of<double>, which are made of it and must not outlive it.
template <class O, template <class> class Of> class OperationWith : public Operation {
public:
  std::unique_ptr<Step<float>> step(float) const override {
    return std::make_unique<Of<float>>(static_cast<const O &>(*this));
  }
  std::unique_ptr<Step<double>> step(double) const override {
    return std::make_unique<Of<double>>(static_cast<const O &>(*this));
  }
};

} // namespace theta
