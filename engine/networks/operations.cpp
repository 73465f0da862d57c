#include "operations.h"
#include "kernels/operations/activation.h"
#include "kernels/operations/add.h"
#include "kernels/operations/batchnorm.h"
#include "kernels/operations/gemm.h"
#include "kernels/operations/layernorm.h"
#include "step.h"

namespace theta {

namespace {

template <class T> class LinearStep;
class LinearOperation : public OperationWith<LinearOperation, LinearStep> {
public:
  LinearOperation(std::size_t tensor, const Layout &layout, int in, int out, int positions, Activation act,
                  double omega)
      : tensor(tensor), weight(layout.places()[tensor].offset), bias(layout.places()[tensor + 1].offset), in(in),
        out(out), positions(positions), act(act), omega(float(omega)) {}
  void tie(Ties &ties) const override {
    ties.along(from[0], UnitAxis::Role::outgoing, tensor, 1);
    ties.along(to, UnitAxis::Role::bias, tensor + 1, 0);
    ties.along(to, UnitAxis::Role::incoming, tensor, 0);
  }
  double multiply_adds() const override { return double(positions) * in * out; }
  std::optional<ChainLayer> in_chain() const override {
    return positions == 1 ? std::optional(ChainLayer{in, out, act}) : std::nullopt;
  }

  std::size_t tensor, weight, bias; // index in the layout; offsets
  int in, out, positions;           // positions: rows of an example
  Activation act;
  float omega; // of sine
};

template <class T> class LinearStep : public Step<T> {
public:
  explicit LinearStep(const LinearOperation &of) : of_(of) {}
  void plan(MemoryPlan &plan, const StepSizes &sizes) override {
    if (sizes.training)
      pre_ = plan.reserve<T>(text(sizes.name, ".pre.", sizes.number), MemoryClass::activations,
                             {sizes.networks, sizes.rows * of_.positions, of_.out}, sizes.hint);
  }
  void plan_done(MemoryPlan &plan) override { plan.release(pre_); }
  void forward(Stream &s, const StepWork<T> &w, bool training) override {
    const int rows = w.rows * of_.positions;
    Gemm product{.m = rows,
                 .n = of_.out,
                 .k = of_.in,
                 .transpose_b = true,
                 .batch = w.networks,
                 .stride_a = w.stride[0],
                 .stride_b = w.parameters,
                 .stride_c = std::size_t(rows) * std::size_t(of_.out),
                 .stride_bias = w.parameters,
                 .arithmetic = w.arithmetic,
                 .omega = of_.omega};
    if (!training)
      return gemm<T>(s, w.y, w.x[0], w.theta + of_.weight, product, w.theta + of_.bias, of_.act);
    product.stride_bias = 0;
    gemm<T>(s, pre_, w.x[0], w.theta + of_.weight, product);
    bias_act_forward<T>(s, w.y, pre_, w.theta + of_.bias, bias_act(w));
  }
  void backward(Stream &s, const StepWork<T> &w) override {
    const int rows = w.rows * of_.positions;
    const std::size_t of_y = std::size_t(rows) * std::size_t(of_.out);
    bias_act_backward<T>(s, w.d, w.gradient + of_.bias, w.dy, pre_, w.theta + of_.bias, bias_act(w));
    if (w.trains)
      gemm<T>(s, w.gradient + of_.weight, w.d, w.x[0],
              {.m = of_.out,
               .n = of_.in,
               .k = rows,
               .transpose_a = true,
               .accumulate = true,
               .batch = w.networks,
               .stride_a = of_y,
               .stride_b = w.stride[0],
               .stride_c = w.parameters,
               .arithmetic = w.arithmetic});
    if (w.dx[0])
      gemm<T>(s, w.dx[0], w.d, w.theta + of_.weight,
              {.m = rows,
               .n = of_.in,
               .k = of_.out,
               .accumulate = w.adds[0],
               .batch = w.networks,
               .stride_a = of_y,
               .stride_b = w.parameters,
               .stride_c = std::size_t(rows) * std::size_t(of_.in),
               .arithmetic = w.arithmetic});
  }

private:
  BiasAct bias_act(const StepWork<T> &w) const {
    return {w.networks, w.rows * of_.positions, of_.out, w.parameters, of_.act, of_.omega};
  }
  const LinearOperation &of_;
  Tensor<T> pre_; // before bias and activation
};

template <class T> class NormStep;
class NormOperation : public OperationWith<NormOperation, NormStep> {
public:
  NormOperation(std::size_t tensor, const Layout &layout, int width, int positions, double eps)
      : tensor(tensor), gamma(layout.places()[tensor].offset), beta(layout.places()[tensor + 1].offset), width(width),
        positions(positions), eps(eps) {}
  void tie(Ties &ties) const override {
    ties.same(from[0], to);
    ties.along(to, UnitAxis::Role::bias, tensor, 0), ties.along(to, UnitAxis::Role::bias, tensor + 1, 0);
  }
  std::size_t tensor, gamma, beta;
  int width, positions;
  double eps;
};

template <class T> class NormStep : public Step<T> {
public:
  explicit NormStep(const NormOperation &of) : of_(of) {}
  void plan(MemoryPlan &plan, const StepSizes &sizes) override {
    for (auto *kept : {&mean_, &rstd_})
      *kept = plan.reserve<T>(text(sizes.name, kept == &mean_ ? ".mean." : ".rstd.", sizes.number),
                              MemoryClass::activations, {sizes.networks, sizes.rows * of_.positions}, sizes.hint);
  }
  void plan_done(MemoryPlan &plan) override { plan.release(mean_, rstd_); }
  void forward(Stream &s, const StepWork<T> &w, bool) override {
    const int rows = w.rows * of_.positions;
    for (std::size_t i = 0; i < std::size_t(w.networks); ++i)
      layernorm_forward<T>(s, w.y + i * of_y(w), mean_ + i * std::size_t(rows), rstd_ + i * std::size_t(rows),
                           w.x[0] + i * w.stride[0], w.theta + i * w.parameters + of_.gamma,
                           w.theta + i * w.parameters + of_.beta, rows, of_.width, of_.eps);
  }
  void backward(Stream &s, const StepWork<T> &w) override {
    const int rows = w.rows * of_.positions;
    for (std::size_t i = 0; i < std::size_t(w.networks); ++i)
      layernorm_backward<T>(s, gradient_of(w) + i * of_y(w), w.gradient + i * w.parameters + of_.gamma,
                            w.gradient + i * w.parameters + of_.beta, w.dy + i * of_y(w), w.x[0] + i * w.stride[0],
                            mean_ + i * std::size_t(rows), rstd_ + i * std::size_t(rows),
                            w.theta + i * w.parameters + of_.gamma, rows, of_.width);
    hand_down<T>(s, w, gradient_of(w), std::size_t(w.networks) * of_y(w));
  }

private:
  std::size_t of_y(const StepWork<T> &w) const { return std::size_t(w.rows * of_.positions) * std::size_t(of_.width); }
  const NormOperation &of_;
  Tensor<T> mean_, rstd_; // [networks, rows]
};

template <class T> class BatchNormStep;
class BatchNormOperation : public OperationWith<BatchNormOperation, BatchNormStep> {
public:
  BatchNormOperation(std::size_t tensor, std::size_t state, const Program &p, int width, int positions, Activation act)
      : tensor(tensor), state(state), gamma(p.trained().places()[tensor].offset),
        beta(p.trained().places()[tensor + 1].offset), mean(p.state().places()[state].offset),
        var(p.state().places()[state + 1].offset), width(width), positions(positions), act(act) {}
  void tie(Ties &ties) const override {
    ties.same(from[0], to);
    ties.along(to, UnitAxis::Role::bias, tensor, 0), ties.along(to, UnitAxis::Role::bias, tensor + 1, 0);
    ties.along_state(to, state), ties.along_state(to, state + 1);
  }
  std::size_t tensor, state, gamma, beta, mean, var; // offsets of the last two: in the state
  int width, positions;                              // positions: of an image
  Activation act;
};

template <class T> class BatchNormStep : public Step<T> {
public:
  explicit BatchNormStep(const BatchNormOperation &of) : of_(of) {}
  void plan(MemoryPlan &plan, const StepSizes &sizes) override {
    for (auto *kept : {&mean_, &rstd_})
      if (sizes.training)
        *kept = plan.reserve<T>(text(sizes.name, kept == &mean_ ? ".mean." : ".rstd.", sizes.number),
                                MemoryClass::activations, {sizes.networks, of_.width}, sizes.hint);
  }
  void plan_done(MemoryPlan &plan) override { plan.release(mean_, rstd_); }
  void forward(Stream &s, const StepWork<T> &w, bool training) override {
    for (std::size_t i = 0; i < std::size_t(w.networks); ++i) {
      const T *theta = w.theta + i * w.parameters, *x = w.x[0] + i * w.stride[0];
      T *y = w.y + i * of_y(w);
      if (training && w.trains) {
        T *state = w.state + i * w.parameters + w.trained;
        batchnorm_forward<T>(s, y, mean_ + i * width(), rstd_ + i * width(), state + of_.mean, state + of_.var, x,
                             theta + of_.gamma, theta + of_.beta, shape(w));
      } else {
        const T *state = theta + w.trained;
        batchnorm_infer<T>(s, y, x, state + of_.mean, state + of_.var, theta + of_.gamma, theta + of_.beta, shape(w));
      }
    }
  }
  void backward(Stream &s, const StepWork<T> &w) override {
    for (std::size_t i = 0; i < std::size_t(w.networks); ++i) {
      const T *theta = w.theta + i * w.parameters;
      T *gradient = w.gradient + i * w.parameters;
      if (!w.trains) {
        const T *state = theta + w.trained;
        batchnorm_infer_backward<T>(s, gradient_of(w) + i * of_y(w), w.dy + i * of_y(w), w.x[0] + i * w.stride[0],
                                    state + of_.mean, state + of_.var, theta + of_.gamma, theta + of_.beta, shape(w));
        continue;
      }
      batchnorm_backward<T>(s, gradient_of(w) + i * of_y(w), gradient + of_.gamma, gradient + of_.beta,
                            w.dy + i * of_y(w), w.x[0] + i * w.stride[0], mean_ + i * width(), rstd_ + i * width(),
                            theta + of_.gamma, theta + of_.beta, shape(w));
    }
    hand_down<T>(s, w, gradient_of(w), std::size_t(w.networks) * of_y(w));
  }

private:
  BatchNorm shape(const StepWork<T> &w) const {
    BatchNorm p{w.rows, of_.width, of_.positions, of_.act};
    p.momentum = w.momentum;
    return p;
  }
  std::size_t width() const { return std::size_t(of_.width); }
  std::size_t of_y(const StepWork<T> &w) const { return std::size_t(w.rows * of_.positions) * width(); }
  const BatchNormOperation &of_;
  Tensor<T> mean_, rstd_; // [networks, width]
};

template <class T> class ActivationStep;
class ActivationOperation : public OperationWith<ActivationOperation, ActivationStep> {
public:
  ActivationOperation(Activation act, int elements, double omega) : act(act), elements(elements), omega(float(omega)) {}
  void tie(Ties &ties) const override { ties.same(from[0], to); }
  Activation act;
  int elements; // of an example
  float omega;
};

template <class T> class ActivationStep : public Step<T> {
public:
  explicit ActivationStep(const ActivationOperation &of) : of_(of) {}
  void plan(MemoryPlan &plan, const StepSizes &sizes) override {
    if (sizes.training)
      sums_ = plan.reserve<T>(text(sizes.name, ".sums.", sizes.number), MemoryClass::workspace, {of_.elements});
  }
  void plan_done(MemoryPlan &plan) override { plan.release(sums_); }
  void forward(Stream &s, const StepWork<T> &w, bool) override {
    for (std::size_t i = 0; i < std::size_t(w.networks); ++i)
      bias_act_forward<T>(s, w.y + i * of_y(w), w.x[0] + i * w.stride[0], nullptr, shape(w));
  }
  void backward(Stream &s, const StepWork<T> &w) override {
    for (std::size_t i = 0; i < std::size_t(w.networks); ++i)
      bias_act_backward<T>(s, gradient_of(w) + i * of_y(w), sums_, w.dy + i * of_y(w), w.x[0] + i * w.stride[0],
                           nullptr, shape(w));
    hand_down<T>(s, w, gradient_of(w), std::size_t(w.networks) * of_y(w));
  }

private:
  BiasAct shape(const StepWork<T> &w) const { return {1, w.rows, of_.elements, 0, of_.act, of_.omega}; }
  std::size_t of_y(const StepWork<T> &w) const { return std::size_t(w.rows) * std::size_t(of_.elements); }
  const ActivationOperation &of_;
  Tensor<T> sums_; // of a bias that nobody has
};

template <class T> class SumStep;
class SumOperation : public OperationWith<SumOperation, SumStep> {
public:
  explicit SumOperation(std::size_t elements) : elements(elements) {}
  void tie(Ties &ties) const override { ties.same(from[0], from[1]), ties.same(from[0], to); }
  std::size_t elements; // of an example
};

template <class T> class SumStep : public Step<T> {
public:
  explicit SumStep(const SumOperation &of) : of_(of) {}
  void forward(Stream &s, const StepWork<T> &w, bool) override {
    const std::size_t n = std::size_t(w.rows) * of_.elements;
    if (w.stride[0] == n && w.stride[1] == n)
      return add_scaled<T>(s, w.y, w.x[0], w.x[1], 1, std::size_t(w.networks) * n);
    for (std::size_t i = 0; i < std::size_t(w.networks); ++i) // one of them is the same for all networks
      add_scaled<T>(s, w.y + i * n, w.x[0] + i * w.stride[0], w.x[1] + i * w.stride[1], 1, n);
  }
  void backward(Stream &s, const StepWork<T> &w) override {
    for (int k = 0; k < 2; ++k)
      hand_down<T>(s, w, w.dy, std::size_t(w.networks) * std::size_t(w.rows) * of_.elements, k);
  }

private:
  const SumOperation &of_;
};

// Throws InputError for images, whose units are not their last axis.
void check_rows(const Program &p, Value x, const std::string &what) {
  if (p.shape(x).size() > 2)
    throw InputError("network: ", what, ": found ", text_of(p.shape(x)), ", expected a vector or tokens");
}

} // namespace

Value linear(Program &p, const std::string &name, Value x, int out, Activation act) {
  check_width(out);
  check_rows(p, x, name);
  Shape shape = p.shape(x);
  const int in = p.width(x), positions = int(p.elements(x)) / in;
  const std::size_t tensor = p.layer(name, {out, in}, in, out, x.number == 0);
  shape.back() = out;
  return p.append(std::make_unique<LinearOperation>(tensor, p.trained(), in, out, positions, act, p.omega()), {x},
                  std::move(shape));
}

Value layer_norm(Program &p, const std::string &name, Value x, double eps) {
  check_rows(p, x, name);
  const int width = p.width(x);
  const std::size_t tensor = p.tensor(name + ".weight", {width}, {.constant = 1});
  p.tensor(name + ".bias", {width}, {});
  return p.append(std::make_unique<NormOperation>(tensor, p.trained(), width, int(p.elements(x)) / width, eps), {x},
                  p.shape(x));
}

Value batch_norm(Program &p, const std::string &name, Value x, Activation act) {
  const Shape &of = p.shape(x);
  const int width = int(of[0]);
  if (of.size() == 2)
    throw InputError("network: ", name, ": found ", text_of(of), " to be normalised, expected a vector or an image");
  const std::size_t tensor = p.tensor(name + ".weight", {width}, {.constant = 1});
  p.tensor(name + ".bias", {width}, {});
  const std::size_t state = p.state(name + ".running_mean", {width}, 0);
  p.state(name + ".running_var", {width}, 1);
  return p.append(std::make_unique<BatchNormOperation>(tensor, state, p, width, int(p.elements(x)) / width, act), {x},
                  p.shape(x));
}

Value activation(Program &p, Value x, Activation act) {
  return p.append(std::make_unique<ActivationOperation>(act, int(p.elements(x)), p.omega()), {x}, p.shape(x));
}

Value add(Program &p, Value a, Value b) {
  if (p.shape(a) != p.shape(b))
    throw InputError("network: found ", text_of(p.shape(a)), " and ", text_of(p.shape(b)),
                     " to be added, expected values of one shape");
  return p.append(std::make_unique<SumOperation>(p.elements(a)), {a, b}, p.shape(a));
}

} // namespace theta
