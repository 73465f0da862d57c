// A program's networks, operation by operation (layered.h): N of them side by side.
#pragma once
#include "layered.h"
#include "step.h"

namespace theta {

template <class T> class LayeredProgram : public LayeredNetworks<T> {
public:
  // Throws InputError where an operation has no step.
  LayeredProgram(NetworkShape shape, Program program);
  explicit LayeredProgram(const NetworkShape &);
  static bool can(const Program &); // whether every operation has one

  const NetworkShape &shape() const override { return shape_; }
  const Layout &layout() const override { return layout_; }
  void move_state_of(T *theta) override { state_ = theta; }
  void plan(MemoryPlan &, bool training, int networks, int batch) override;
  T *forward(Stream &, const T *theta, const T *x) override;
  void backward(Stream &, const T *theta, T *gradient, const T *d_out, const T *x) override;
  T *infer(Stream &, const T *theta, const T *x, int networks, int rows) override;

private:
  const Operation &operation(std::size_t i) const { return *program_.operations()[i]; }
  StepWork<T> work(std::size_t i, const T *theta, const T *x, std::size_t of_x, int networks, int rows) const;
  T *walk(Stream &, const T *theta, const T *x, std::size_t of_x, int networks, int rows, bool training);

  NetworkShape shape_;
  Program program_;
  Layout layout_;
  T *state_ = nullptr;
  std::vector<std::unique_ptr<Step<T>>> steps_;
  std::vector<std::size_t> last_use_;     // of a value: the operation that reads it last; its own where none does
  std::vector<char> begun_;               // of a value, going backwards: whether its gradient has been written to
  std::vector<Tensor<T>> out_, gradient_; // of operations: [networks, batch, ...]
  bool training_ = false;
  int networks_ = 0, batch_ = 0;
};

} // namespace theta
