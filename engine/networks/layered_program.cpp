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
LayeredProgram<T>::LayeredProgram(NetworkShape shape, Program program, std::vector<Part> parts)
    : shape_(std::move(shape)), program_(std::move(program)), layout_(program_.layout()), parts_(std::move(parts)),
      last_use_(program_.values()), begun_(program_.values()) {
  const std::size_t n = program_.operations().size();
  parts_.resize(n, Part::trained);
  for (const bool fixed : {true, false})
    for (std::size_t i = 0; i < n; ++i)
      if ((parts_[i] == Part::fixed) == fixed)
        order_.push_back(i), fixed_ += fixed;
  if (fixed_ == n)
    throw Error("program: found nothing of ", name_of(shape_.kind), " that is trained");
  for (std::size_t i = 0; i < n; ++i)
    if (steps_.push_back(operation(i).step(T())); !steps_.back())
      throw InputError("network.kind: found ", name_of(shape_.kind), ", expected one that goes layer by layer");
  for (const std::size_t i : order_) {
    last_use_[i + 1] = i;
    for (const Value from : operation(i).from)
      last_use_[std::size_t(from.number)] = i;
  }
  for (std::size_t v = 1; v + 1 < last_use_.size(); ++v)
    if (last_use_[v] == v - 1)
      throw Error("program: found value ", v, " of ", name_of(shape_.kind), ", which nothing reads");
}

// Value v is made by operation v − 1. Without training a value goes when it has been read for the last time, but for a
// fixed one that something reads which is not, and may again. With training, an operation writes, or adds to, the
// gradients of the values below; then nobody needs its own tensors.
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
  for (const std::size_t i : order_) {
    const bool fixed = parts_[i] == Part::fixed, keeps = training && !fixed;
    steps_[i]->plan(plan, {program_.name(), int(i), networks, batch, keeps, hint});
    out_[i] = reserve(".out.", i);
    if (keeps)
      continue;
    steps_[i]->plan_done(plan);
    for (std::size_t v = 1; v < last_use_.size(); ++v)
      if (last_use_[v] == i && v - 1 != i && (fixed || !is_fixed(int(v))))
        plan.release(out_[v - 1]);
  }
  if (!training)
    return;
  gradient_.back() = reserve(".d.", n - 1);
  for (std::size_t k = n; k-- > fixed_;) {
    const std::size_t i = order_[k];
    for (const Value from : operation(i).from)
      if (const int made_by = from.number - 1;
          made_by >= 0 && !is_fixed(from.number) && !gradient_[std::size_t(made_by)].planned())
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
  w.arithmetic = arithmetic_;
  w.theta = theta, w.state = state_, w.momentum = momentum_, w.y = out_[i], w.trains = parts_[i] == Part::trained;
  for (std::size_t k = 0; k < operation(i).from.size(); ++k) {
    const Value from = operation(i).from[k];
    w.x[k] = from.number > 0 ? out_[std::size_t(from.number) - 1].get() : x;
    w.stride[k] = from.number > 0 ? std::size_t(rows) * program_.elements(from) : of_x;
  }
  return w;
}

template <class T>
void LayeredProgram<T>::walk(Stream &s, std::size_t first, std::size_t last, const T *theta, const T *x,
                             std::size_t of_x, int networks, int rows, bool training) {
  for (std::size_t k = first; k < last; ++k) {
    const std::size_t i = order_[k];
    steps_[i]->forward(s, work(i, theta, x, of_x, networks, rows), training && parts_[i] != Part::fixed);
  }
}

template <class T> T *LayeredProgram<T>::forward(Stream &s, const T *theta, const T *x) {
  if (training_ && !state_ && layout_.trained() < layout_.size())
    throw Error("networks: found no state to move, expected move_state_of before a step of training");
  walk(s, 0, order_.size(), theta, x, std::size_t(batch_) * program_.elements({0}), networks_, batch_, training_);
  return out_.back();
}

template <class T> void LayeredProgram<T>::infer_fixed(Stream &s, const T *theta, const T *x, int networks, int rows) {
  walk(s, 0, fixed_, theta, x, 0, networks, rows, false);
}

template <class T> T *LayeredProgram<T>::infer_rest(Stream &s, const T *theta, const T *x, int networks, int rows) {
  walk(s, fixed_, order_.size(), theta, x, 0, networks, rows, false);
  return out_.back();
}

template <class T> T *LayeredProgram<T>::infer(Stream &s, const T *theta, const T *x, int networks, int rows) {
  infer_fixed(s, theta, x, networks, rows);
  return infer_rest(s, theta, x, networks, rows);
}

template <class T>
void LayeredProgram<T>::backward(Stream &s, const T *theta, T *gradient, const T *d_out, const T *x) {
  std::fill(begun_.begin(), begun_.end(), 0);
  for (std::size_t k = order_.size(); k-- > fixed_;) {
    const std::size_t i = order_[k];
    StepWork<T> w = work(i, theta, x, std::size_t(batch_) * program_.elements({0}), networks_, batch_);
    w.gradient = gradient, w.d = gradient_[i], w.dy = i + 1 < steps_.size() ? w.d : d_out;
    for (std::size_t o = 0; o < operation(i).from.size(); ++o)
      if (const int from = operation(i).from[o].number; from > 0 && !is_fixed(from)) {
        w.dx[o] = gradient_[std::size_t(from) - 1];
        w.adds[o] = std::exchange(begun_[std::size_t(from)], 1);
      }
    steps_[i]->backward(s, w);
  }
}

template class LayeredProgram<float>;
template class LayeredProgram<double>;

} // namespace theta
