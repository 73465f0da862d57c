#include "layered_program.h"
#include "kind.h"

namespace theta {

template <class T> bool LayeredProgram<T>::can(const Program &program) {
  for (const auto &operation : program.operations())
    if (!operation->step(T()))
      return false;
  return true;
}

template <class T>
LayeredProgram<T>::LayeredProgram(const NetworkShape &shape) : LayeredProgram(shape, shape.kind->program(shape)) {}

template <class T>
LayeredProgram<T>::LayeredProgram(NetworkShape shape, Program program)
    : shape_(std::move(shape)), program_(std::move(program)), layout_(program_.layout()), last_use_(program_.values()),
      begun_(program_.values()) {
  for (std::size_t i = 0; i < program_.operations().size(); ++i) {
    steps_.push_back(operation(i).step(T()));
    if (!steps_.back())
      throw InputError("network.kind: found ", name_of(shape_.kind), ", expected one that goes layer by layer");
    last_use_[i + 1] = i;
    for (const Value from : operation(i).from)
      last_use_[std::size_t(from.number)] = i;
  }
  for (std::size_t v = 1; v + 1 < last_use_.size(); ++v)
    if (last_use_[v] == v - 1)
      throw Error("program: found value ", v, " of ", name_of(shape_.kind), ", which nothing reads");
}

// Value v is made by operation v − 1. Without training a value goes when it has been read for the last time. With it,
// an operation writes, or adds to, the gradients of the values below; then nobody needs its own tensors.
template <class T> void LayeredProgram<T>::plan(MemoryPlan &plan, bool training, int networks, int batch) {
  training_ = training, networks_ = networks, batch_ = batch;
  const std::size_t n = steps_.size();
  out_.assign(n, {}), gradient_ = out_;
  const char *hint = training ? "zoo.wave" : "eval.wave";
  const auto reserve = [&](const char *what, std::size_t i) {
    Shape shape = program_.shape(operation(i).to);
    shape.insert(shape.begin(), {networks, batch});
    return plan.reserve<T>(text(program_.name(), what, i), MemoryClass::activations, std::move(shape), hint);
  };
  for (std::size_t i = 0; i < n; ++i) {
    steps_[i]->plan(plan, {program_.name(), int(i), networks, batch, training, hint});
    out_[i] = reserve(".out.", i);
    if (!training)
      steps_[i]->plan_done(plan);
    for (std::size_t v = 1; v <= i && !training; ++v)
      if (last_use_[v] == i)
        plan.release(out_[v - 1]);
  }
  if (!training)
    return;
  gradient_.back() = reserve(".d.", n - 1);
  for (std::size_t i = n; i-- > 0;) {
    for (const Value from : operation(i).from)
      if (const int made_by = from.number - 1; made_by >= 0 && !gradient_[std::size_t(made_by)].planned())
        gradient_[std::size_t(made_by)] = reserve(".d.", std::size_t(made_by));
    steps_[i]->plan_done(plan);
    plan.release(out_[i], gradient_[i]);
  }
}

template <class T>
StepWork<T> LayeredProgram<T>::work(std::size_t i, const T *theta, const T *x, std::size_t of_x, int networks,
                                    int rows) const {
  StepWork<T> w{};
  w.networks = networks, w.rows = rows, w.parameters = layout_.size(), w.trained = layout_.trained();
  w.theta = theta, w.state = state_, w.y = out_[i];
  for (std::size_t k = 0; k < operation(i).from.size(); ++k) {
    const Value from = operation(i).from[k];
    w.x[k] = from.number > 0 ? out_[std::size_t(from.number) - 1].get() : x;
    w.stride[k] = from.number > 0 ? std::size_t(rows) * program_.elements(from) : of_x;
  }
  return w;
}

template <class T>
T *LayeredProgram<T>::walk(Stream &s, const T *theta, const T *x, std::size_t of_x, int networks, int rows,
                           bool training) {
  for (std::size_t i = 0; i < steps_.size(); ++i)
    steps_[i]->forward(s, work(i, theta, x, of_x, networks, rows), training);
  return out_.back();
}

template <class T> T *LayeredProgram<T>::forward(Stream &s, const T *theta, const T *x) {
  if (training_ && !state_ && layout_.trained() < layout_.size())
    throw Error("networks: found no state to move, expected move_state_of before a step of training");
  return walk(s, theta, x, std::size_t(batch_) * program_.elements({0}), networks_, batch_, training_);
}

template <class T> T *LayeredProgram<T>::infer(Stream &s, const T *theta, const T *x, int networks, int rows) {
  return walk(s, theta, x, 0, networks, rows, false);
}

template <class T>
void LayeredProgram<T>::backward(Stream &s, const T *theta, T *gradient, const T *d_out, const T *x) {
  std::fill(begun_.begin(), begun_.end(), 0);
  for (std::size_t i = steps_.size(); i-- > 0;) {
    StepWork<T> w = work(i, theta, x, std::size_t(batch_) * program_.elements({0}), networks_, batch_);
    w.gradient = gradient, w.d = gradient_[i], w.dy = i + 1 < steps_.size() ? w.d : d_out;
    for (std::size_t k = 0; k < operation(i).from.size(); ++k)
      if (const int from = operation(i).from[k].number; from > 0) {
        w.dx[k] = gradient_[std::size_t(from) - 1];
        w.adds[k] = std::exchange(begun_[std::size_t(from)], 1);
      }
    steps_[i]->backward(s, w);
  }
}

template class LayeredProgram<float>;
template class LayeredProgram<double>;

} // namespace theta
