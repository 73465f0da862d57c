#include "recurrence.h"
#include "kernels/operations/add.h"
#include "kernels/operations/features.h"
#include "kernels/operations/layernorm.h"

namespace theta {

namespace {
// Decays exp(−exp(nu)) of half-lives from a token to some thousands of them, evenly in their logarithm.
constexpr Start decays{-4.6, 4.3};
} // namespace

template <class T> Recurrence<T>::Recurrence(const RecurrenceShape &shape) : shape_(shape) {
  const int d = shape.width;
  embed_.emplace(parameters_, "embed", shape.token, d, shape.arithmetic);
  place_.emplace(parameters_, "place", shape.features, d, shape.arithmetic);
  for (int i = 0; i < shape.blocks; ++i) {
    const std::string name = text("blocks.", i, ".");
    const std::size_t gamma = parameters_.add(name + "norm.weight", {d}, {.constant = 1}),
                      beta = parameters_.add(name + "norm.bias", {d}, {}),
                      nu = parameters_.add(name + "nu", {d}, decays);
    Linear in(parameters_, name + "in", d, d, shape.arithmetic), out(parameters_, name + "out", d, d, shape.arithmetic);
    DitBlockShape mlp{.width = d, .heads = 1, .tokens = 1, .arithmetic = shape.arithmetic, .conditioned = false};
    mlp.attends = false;
    blocks_.push_back(
        {gamma, beta, nu, in, out, DitBlock<T>(parameters_, name + "mlp.", mlp), {}, {}, {}, {}, {}, {}, {}});
  }
  gamma_ = parameters_.add("norm.weight", {d}, {.constant = 1}), beta_ = parameters_.add("norm.bias", {d}, {});
}

template <class T> void Recurrence<T>::plan(MemoryPlan &plan, int batch, int length, Mode mode) {
  check_unplanned("recurrence", batch_);
  batch_ = batch, length_ = length;
  const std::int64_t n = rows(), d = shape_.width;
  const auto reserve = [&](const std::string &what, std::int64_t rows, std::int64_t width) {
    return plan.reserve<T>("recurrence." + what, MemoryClass::activations, {rows, width}, "batch");
  };
  features_ = reserve("features", n, shape_.features);
  x_ = reserve("x", n, d), placed_ = reserve("placed", n, d);
  mean_ = reserve("mean", n, 1), rstd_ = reserve("rstd", n, 1), context_ = reserve("context", n, d);
  for (std::size_t i = 0; i < blocks_.size(); ++i) {
    Block &b = blocks_[i];
    const std::string name = text(i, ".");
    b.normal = reserve(name + "normal", n, d), b.mean = reserve(name + "mean", n, 1);
    b.rstd = reserve(name + "rstd", n, 1), b.u = reserve(name + "u", n, d), b.h = reserve(name + "h", n, d);
    b.branch = reserve(name + "branch", n, d), b.middle = reserve(name + "middle", n, d);
    b.mlp.plan_forward(plan, "recurrence." + name + "mlp.", int(n), mode);
  }
  if (mode == Mode::infer)
    return;
  d_branch_ = reserve("d_branch", n, d), partial_ = reserve("partial", batch, d);
  for (std::size_t i = blocks_.size(); i-- > 0;)
    blocks_[i].mlp.plan_backward(plan);
}

template <class T>
const T *Recurrence<T>::forward(Stream &s, const Parameters<T> &p, const T *before, const T *place, const T *state,
                                T *next) {
  const int n = rows(), d = shape_.width;
  whole_number_features<T>(s, features_, place, n, shape_.features);
  embed_->forward(s, p, x_.get(), before, n);
  place_->forward(s, p, placed_.get(), features_, n);
  add_scaled<T>(s, x_, x_, placed_, 1, size());
  inputs_ = {x_.get()};
  for (std::size_t i = 0; i < blocks_.size(); ++i) {
    Block &b = blocks_[i];
    const std::size_t at = i * std::size_t(batch_ * d);
    const T *x = inputs_.back();
    layernorm_forward<T>(s, b.normal, b.mean, b.rstd, x, p.value + b.gamma, p.value + b.beta, n, d);
    b.in.forward(s, p, b.u.get(), b.normal, n);
    linear_scan_forward<T>(s, b.h, next ? next + at : nullptr, b.u, state + at, p.value + b.nu, scan());
    b.out.forward(s, p, b.branch.get(), b.h, n);
    add_scaled<T>(s, b.middle, x, b.branch, 1, size());
    inputs_.push_back(b.mlp.forward(s, p, b.middle, nullptr));
  }
  layernorm_forward<T>(s, context_, mean_, rstd_, inputs_.back(), p.value + gamma_, p.value + beta_, n, d);
  return context_;
}

template <class T>
void Recurrence<T>::backward(Stream &s, const Parameters<T> &p, T *dx, const T *before, const T *state) {
  const int n = rows(), d = shape_.width;
  layernorm_backward<T>(s, dx, p.gradient_of(gamma_), p.gradient_of(beta_), dx, inputs_.back(), mean_, rstd_,
                        p.value + gamma_, n, d);
  for (std::size_t i = blocks_.size(); i-- > 0;) {
    Block &b = blocks_[i];
    const std::size_t at = i * std::size_t(batch_ * d);
    b.mlp.backward_accumulate(s, p, dx, nullptr, b.middle, nullptr);
    b.out.backward(s, p, d_branch_, dx, b.h, n);
    linear_scan_backward<T>(s, d_branch_, p.gradient_of(b.nu), d_branch_, b.h, b.u, state + at, p.value + b.nu,
                            partial_, scan());
    b.in.backward(s, p, b.branch, d_branch_.get(), b.normal, n); // branch is no longer needed
    layernorm_backward<T>(s, b.branch, p.gradient_of(b.gamma), p.gradient_of(b.beta), b.branch, inputs_[i], b.mean,
                          b.rstd, p.value + b.gamma, n, d);
    add_scaled<T>(s, dx, dx, b.branch, 1, size());
  }
  embed_->backward(s, p, nullptr, dx, before, n);
  place_->backward(s, p, nullptr, dx, features_, n);
}

template class Recurrence<float>;
template class Recurrence<double>;

} // namespace theta
