// A program's networks, operation by operation (layered.h): N of them side by side.
#pragma once
#include "layered.h"
#include "step.h"

namespace theta {

// What becomes of an operation where some tensors alone are trained. fixed: nothing that it depends on is; its value is
// that of inference. passed: its own are not, but gradients go through it. trained: some of its own are.
enum class Part { fixed, passed, trained };

template <class T> class LayeredProgram : public LayeredNetworks<T> {
public:
  // Throws InputError where an operation has no step. `parts`: of every operation; none: all are trained.
  LayeredProgram(NetworkShape shape, Program program, std::vector<Part> parts = {});
  explicit LayeredProgram(const NetworkShape &);
  static bool can(const Program &); // whether every operation has one

  const NetworkShape &shape() const override { return shape_; }
  const Layout &layout() const override { return layout_; }
  double step_flops(int batch) const override { return program_.step_flops(batch); }
  void multiply_in(Arithmetic arithmetic) override { arithmetic_ = arithmetic; }
  void move_state_of(T *theta, double momentum = 0.1) override { state_ = theta, momentum_ = momentum; }
  void plan(MemoryPlan &, bool training, int networks, int batch) override;
  T *forward(Stream &, const T *theta, const T *x) override;
  void backward(Stream &, const T *theta, T *gradient, const T *d_out, const T *x) override;
  T *infer(Stream &, const T *theta, const T *x, int networks, int rows) override;

  // Inference in two halves: what is fixed, then the rest on it, as often as one likes.
  void infer_fixed(Stream &, const T *theta, const T *x, int networks, int rows);
  T *infer_rest(Stream &, const T *theta, const T *x, int networks, int rows);

private:
  const Operation &operation(std::size_t i) const { return *program_.operations()[i]; }
  StepWork<T> work(std::size_t i, const T *theta, const T *x, std::size_t of_x, int networks, int rows) const;
  bool is_fixed(int value) const { return value > 0 && parts_[std::size_t(value) - 1] == Part::fixed; }
  // Operations first..last of order_.
  void walk(Stream &, std::size_t first, std::size_t last, const T *theta, const T *x, std::size_t of_x, int networks,
            int rows, bool training);

  NetworkShape shape_;
  Program program_;
  Layout layout_;
  T *state_ = nullptr;
  double momentum_ = 0.1;
  Arithmetic arithmetic_ = Arithmetic::fp32;
  std::vector<Part> parts_;
  std::vector<std::size_t> order_; // of operations: those that are fixed come first
  std::size_t fixed_ = 0;          // so many of them
  std::vector<std::unique_ptr<Step<T>>> steps_;
  std::vector<std::size_t> last_use_;     // of a value: the operation that reads it last; its own where none does
  std::vector<char> begun_;               // of a value, going backwards: whether its gradient has been written to
  std::vector<Tensor<T>> out_, gradient_; // of operations: [networks, batch, ...]
  bool training_ = false;
  int networks_ = 0, batch_ = 0;
};

} // namespace theta
