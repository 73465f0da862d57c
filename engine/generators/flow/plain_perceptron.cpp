#include "plain_perceptron.h"
#include "kernels/operations/activation.h"
#include "kernels/operations/dropout.h"
#include "kernels/operations/gather.h"
#include "kernels/operations/layernorm.h"

namespace theta {

template <class T>
PlainPerceptron<T>::PlainPerceptron(const PlainPerceptronShape &shape)
    : shape_(shape), time0_(parameters_, "time.0", 1, shape.features, shape.arithmetic),
      time2_(parameters_, "time.2", shape.features, shape.features, shape.arithmetic), decode_([&] {
        int in = shape.size + shape.features;
        for (int k = 0; k < 3; ++k) {
          const int out = k == 1 ? shape.width / 2 : shape.width;
          const std::string name = text("layers.", k);
          layers_.push_back({Linear(parameters_, name, in, out, shape.arithmetic),
                             parameters_.add(name + ".norm.weight", {out}, {.constant = 1}),
                             parameters_.add(name + ".norm.bias", {out}, {}), k < 2});
          in = out;
        }
        return Linear(parameters_, "decode", in, shape.size, shape.arithmetic, Linear::Begin::zero);
      }()) {
  if (shape.width % 2 != 0)
    throw InputError("perceptron: found a width of ", shape.width, ", expected an even one: its second layer has half");
}

template <class T> void PlainPerceptron<T>::plan_for(MemoryPlan &plan, const std::vector<int> &networks, Mode mode) {
  check_unplanned("perceptron", batch_);
  batch_ = networks.at(0), trains_ = mode == Mode::train;
  const auto reserve = [&](const std::string &what, int width) {
    return plan.reserve<T>("perceptron." + what, MemoryClass::activations, {batch_, width}, "batch");
  };
  const int f = shape_.features, in = shape_.size + f;
  time_pre_ = reserve("time.pre", f), time_act_ = reserve("time.act", f), time_out_ = reserve("time.out", f);
  in_ = reserve("in", in), out_ = reserve("out", shape_.size);
  for (std::size_t k = 0; k < layers_.size(); ++k) {
    Layer &layer = layers_[k];
    const int width = layer.linear.out();
    const auto name = [&](const char *what) { return text("layers.", k, '.', what); };
    layer.pre = reserve(name("pre"), width), layer.normal = reserve(name("normal"), width);
    layer.out = reserve(name("out"), width);
    layer.mean = reserve(name("mean"), 1), layer.rstd = reserve(name("rstd"), 1);
  }
  if (!trains_)
    return;
  const int widest = std::max(in, shape_.width);
  d_out_ = reserve("d_out", shape_.size), d_ = reserve("d", widest), d_next_ = reserve("d_next", widest);
  sums_ = plan.reserve<T>("perceptron.sums", MemoryClass::workspace, {std::max(f, shape_.width)});
  d_time_ = reserve("d_time", f), d_time_pre_ = reserve("d_time_pre", f);
}

// Each layer has streams of its own.
template <class T> Draws PlainPerceptron<T>::draws(std::size_t layer) const {
  return {seed_, Purpose::dropout, draw_, std::uint64_t(layer) << 32};
}

template <class T>
const T *PlainPerceptron<T>::forward(Stream &s, const Parameters<T> &p, const T *x, const Told &told) {
  const int f = shape_.features;
  const auto in = std::size_t(shape_.size + f), size = std::size_t(shape_.size);
  time_ = told.time, seed_ = told.seed, draw_ = told.draw;
  const BiasAct gelu_of_time{1, batch_, f, 0, Activation::gelu};
  time0_.forward(s, p, time_pre_.get(), time_, batch_);
  bias_act_forward<T>(s, time_act_, time_pre_, nullptr, gelu_of_time);
  time2_.forward(s, p, time_out_.get(), time_act_, batch_);
  copy_rows<T>(s, in_, in, x, size, batch_, size);
  copy_rows<T>(s, in_ + size, in, time_out_, std::size_t(f), batch_, std::size_t(f));
  const T *h = in_;
  for (std::size_t k = 0; k < layers_.size(); ++k) {
    const Layer &layer = layers_[k];
    const int width = layer.linear.out();
    layer.linear.forward(s, p, layer.pre.get(), h, batch_);
    layernorm_forward<T>(s, layer.normal, layer.mean, layer.rstd, layer.pre, p.value + layer.gamma,
                         p.value + layer.beta, batch_, width);
    bias_act_forward<T>(s, layer.out, layer.normal, nullptr, {1, batch_, width, 0, Activation::gelu});
    if (layer.drops && trains_ && shape_.dropout > 0)
      dropout<T>(s, layer.out, layer.out, batch_, std::size_t(width), shape_.dropout, draws(k));
    h = layer.out;
  }
  decode_.forward(s, p, out_.get(), h, batch_);
  return out_;
}

template <class T> void PlainPerceptron<T>::backward(Stream &s, const Parameters<T> &p) {
  T *d = d_, *next = d_next_;
  fill_zero(s, sums_, std::size_t(std::max(shape_.features, shape_.width)) * sizeof(T));
  decode_.backward(s, p, d, d_out_.get(), layers_.back().out, batch_);
  for (std::size_t k = layers_.size(); k-- > 0;) {
    const Layer &layer = layers_[k];
    const int width = layer.linear.out();
    if (layer.drops && shape_.dropout > 0)
      dropout<T>(s, d, d, batch_, std::size_t(width), shape_.dropout, draws(k));
    bias_act_backward<T>(s, d, sums_, d, layer.normal, nullptr, {1, batch_, width, 0, Activation::gelu});
    layernorm_backward<T>(s, d, p.gradient_of(layer.gamma), p.gradient_of(layer.beta), d, layer.pre, layer.mean,
                          layer.rstd, p.value + layer.gamma, batch_, width);
    layer.linear.backward(s, p, next, d, k > 0 ? layers_[k - 1].out.get() : in_.get(), batch_);
    std::swap(d, next);
  }
  const int f = shape_.features;
  const auto in = std::size_t(shape_.size + f);
  copy_rows<T>(s, d_time_, std::size_t(f), d + shape_.size, in, batch_, std::size_t(f));
  time2_.backward(s, p, d_time_pre_, d_time_.get(), time_act_, batch_);
  bias_act_backward<T>(s, d_time_pre_, sums_, d_time_pre_, time_pre_, nullptr, {1, batch_, f, 0, Activation::gelu});
  time0_.backward(s, p, nullptr, d_time_pre_.get(), time_, batch_);
}

template class PlainPerceptron<float>;
template class PlainPerceptron<double>;

} // namespace theta
