// Operations of programs on images.
#include "kernels/operations/conv2d.h"
#include "kernels/operations/gemm.h"
#include "kernels/operations/pool2d.h"
#include "kernels/operations/reduce.h"
#include "operations.h"
#include "step.h"

namespace theta {

namespace {

template <class T> class ConvolutionStep;
class ConvolutionOperation : public OperationWith<ConvolutionOperation, ConvolutionStep> {
public:
  ConvolutionOperation(std::size_t tensor, const Layout &layout, const Conv2d &one, bool has_bias)
      : tensor(tensor), weight(layout.places()[tensor].offset), bias(has_bias ? layout.places()[tensor + 1].offset : 0),
        one(one), has_bias(has_bias) {}
  void tie(Ties &ties) const override {
    if (one.groups > 1)
      ties.same(from[0], to);
    else
      ties.along(from[0], UnitAxis::Role::outgoing, tensor, 1);
    if (has_bias)
      ties.along(to, UnitAxis::Role::bias, tensor + 1, 0);
    ties.along(to, one.groups > 1 ? UnitAxis::Role::bias : UnitAxis::Role::incoming, tensor, 0);
  }
  double multiply_adds() const override { return one.multiply_adds(); }

  std::size_t tensor, weight, bias; // index in the layout; offsets
  Conv2d one;                       // of one example
  bool has_bias;
};

template <class T> class ConvolutionStep : public Step<T> {
public:
  explicit ConvolutionStep(const ConvolutionOperation &of) : of_(of) {}
  void plan(MemoryPlan &plan, const StepSizes &sizes) override {
    Conv2d all = of_.one;
    all.batch = sizes.rows;
    if (sizes.training)
      parts_ = plan.reserve<T>(text(sizes.name, ".parts.", sizes.number), MemoryClass::workspace,
                               {std::int64_t(conv2d_workspace(all))}, sizes.hint);
  }
  void plan_done(MemoryPlan &plan) override { plan.release(parts_); }
  void forward(Stream &s, const StepWork<T> &w, bool) override {
    const Conv2d p = all(w);
    for (std::size_t i = 0; i < std::size_t(w.networks); ++i) {
      const T *theta = w.theta + i * w.parameters;
      conv2d_forward<T>(s, w.y + i * p.y_size(), w.x[0] + i * w.stride[0], theta + of_.weight,
                        of_.has_bias ? theta + of_.bias : nullptr, p);
    }
  }
  void backward(Stream &s, const StepWork<T> &w) override {
    const Conv2d p = all(w);
    for (std::size_t i = 0; i < std::size_t(w.networks); ++i) {
      const T *dy = w.dy + i * p.y_size();
      T *gradient = w.gradient + i * w.parameters;
      if (w.trains && of_.has_bias)
        channel_sum<T>(s, gradient + of_.bias, dy, p.batch, p.out_channels, p.out_height() * p.out_width());
      if (w.trains)
        conv2d_backward_weight<T>(s, gradient + of_.weight, dy, w.x[0] + i * w.stride[0], parts_, p);
      if (w.dx[0])
        conv2d_backward_data<T>(s, w.dx[0] + i * p.x_size(), dy, w.theta + i * w.parameters + of_.weight, p, w.adds[0]);
    }
  }

private:
  Conv2d all(const StepWork<T> &w) const {
    Conv2d p = of_.one;
    p.batch = w.rows, p.arithmetic = w.arithmetic;
    return p;
  }
  const ConvolutionOperation &of_;
  Tensor<T> parts_; // of the weights' gradient
};

template <class T> class MaxPoolStep;
class MaxPoolOperation : public OperationWith<MaxPoolOperation, MaxPoolStep> {
public:
  explicit MaxPoolOperation(const Pool2d &one) : one(one) {}
  void tie(Ties &ties) const override { ties.same(from[0], to), ties.pooled(to); }
  Pool2d one; // of one example
};

template <class T> class MaxPoolStep : public Step<T> {
public:
  explicit MaxPoolStep(const MaxPoolOperation &of) : of_(of) {}
  void plan(MemoryPlan &plan, const StepSizes &sizes) override {
    which_ = plan.reserve<std::uint8_t>(text(sizes.name, ".which.", sizes.number), MemoryClass::activations,
                                        {sizes.networks, sizes.rows, std::int64_t(of_.one.y_size())}, sizes.hint);
  }
  void plan_done(MemoryPlan &plan) override { plan.release(which_); }
  void forward(Stream &s, const StepWork<T> &w, bool) override {
    const Pool2d p = all(w);
    for (std::size_t i = 0; i < std::size_t(w.networks); ++i)
      max_pool2d<T>(s, w.y + i * p.y_size(), which_ + i * p.y_size(), w.x[0] + i * w.stride[0], p);
  }
  void backward(Stream &s, const StepWork<T> &w) override {
    Pool2d p = all(w);
    p.planes *= std::size_t(w.networks);
    if (w.dx[0])
      max_pool2d_backward<T>(s, w.dx[0], w.dy, which_, p, w.adds[0]);
  }

private:
  Pool2d all(const StepWork<T> &w) const {
    Pool2d p = of_.one;
    p.planes *= std::size_t(w.rows);
    return p;
  }
  const MaxPoolOperation &of_;
  Tensor<std::uint8_t> which_; // of its window each is
};

template <class T> class ImageMeanStep;
class ImageMeanOperation : public OperationWith<ImageMeanOperation, ImageMeanStep> {
public:
  ImageMeanOperation(int channels, int positions) : channels(channels), positions(positions) {}
  void tie(Ties &ties) const override { ties.same(from[0], to); }
  int channels, positions;
};

// A product with a column of shares, for all planes.
template <class T> class ImageMeanStep : public Step<T> {
public:
  explicit ImageMeanStep(const ImageMeanOperation &of)
      : of_(of), values_(std::size_t(of.positions), T(1) / T(of.positions)) {}
  void plan(MemoryPlan &plan, const StepSizes &sizes) override {
    share_ = plan.reserve<T>(text(sizes.name, ".share.", sizes.number), MemoryClass::workspace, {of_.positions});
  }
  void plan_done(MemoryPlan &plan) override { plan.release(share_); }
  void forward(Stream &s, const StepWork<T> &w, bool) override {
    copy(s, share_, values_.data(), values_.size() * sizeof(T));
    const int planes = w.rows * of_.channels;
    for (std::size_t i = 0; i < std::size_t(w.networks); ++i)
      gemm<T>(s, w.y + i * std::size_t(planes), w.x[0] + i * w.stride[0], share_,
              {.m = planes, .n = 1, .k = of_.positions});
  }
  void backward(Stream &s, const StepWork<T> &w) override {
    if (w.dx[0])
      gemm<T>(s, w.dx[0], w.dy, share_,
              {.m = w.networks * w.rows * of_.channels, .n = of_.positions, .k = 1, .accumulate = w.adds[0]});
  }

private:
  const ImageMeanOperation &of_;
  std::vector<T> values_;
  Tensor<T> share_; // [positions]
};

template <class T> class FlattenStep;
class FlattenOperation : public OperationWith<FlattenOperation, FlattenStep> {
public:
  FlattenOperation(int channels, int positions) : channels(channels), positions(positions) {}
  void tie(Ties &ties) const override { ties.flattened(to, from[0], positions); }
  int channels, positions;
};

// The same numbers under another shape.
template <class T> class FlattenStep : public Step<T> {
public:
  explicit FlattenStep(const FlattenOperation &of) : of_(of) {}
  void forward(Stream &s, const StepWork<T> &w, bool) override {
    const std::size_t n = std::size_t(w.rows) * std::size_t(of_.channels) * std::size_t(of_.positions);
    for (std::size_t i = 0; i < std::size_t(w.networks); ++i)
      copy(s, w.y + i * n, w.x[0] + i * w.stride[0], n * sizeof(T));
  }
  void backward(Stream &s, const StepWork<T> &w) override {
    hand_down<T>(s, w, w.dy, std::size_t(w.networks) * std::size_t(w.rows) * std::size_t(of_.channels * of_.positions));
  }

private:
  const FlattenOperation &of_;
};

// Throws InputError where x is no image.
const Shape &image_of(const Program &p, Value x, const std::string &what) {
  if (p.shape(x).size() != 3)
    throw InputError("network: ", what, ": found ", text_of(p.shape(x)),
                     ", expected an image: channels, height and width");
  return p.shape(x);
}

} // namespace

Value convolution(Program &p, const std::string &name, Value image, const Convolution &c) {
  const Shape &of = image_of(p, image, name);
  check_width(c.channels);
  Conv2d one{1, int(of[0]), c.channels, int(of[1]), int(of[2]), c.kernel, c.stride, c.padding, c.groups, c.is_sequence};
  if (c.is_sequence && of[1] != 1)
    throw InputError("network: ", name, ": found ", of[1], " rows, expected a sequence: one");
  if (c.kernel < 1 || c.stride < 1 || c.padding < 0 || int(of[1]) + 2 * one.above() < one.rows() ||
      int(of[2]) + 2 * c.padding < c.kernel)
    throw InputError("network: ", name, ": a kernel of ", c.kernel, " with stride ", c.stride, " and padding ",
                     c.padding, " leaves nothing of an image of ", of[1], " x ", of[2]);
  if (c.groups != 1 && (c.groups != of[0] || c.groups != c.channels))
    throw InputError("network: ", name, ": found ", c.groups, " groups from ", of[0], " to ", c.channels,
                     " channels, expected one group, or one of each channel");
  const int in = one.in_group() * one.taps(), of_an_input = one.out_group() * one.taps();
  Shape weight{c.channels, one.in_group(), c.kernel};
  if (!c.is_sequence)
    weight.push_back(c.kernel);
  const std::size_t tensor = p.layer(name, weight, in, of_an_input, image.number == 0, c.has_bias);
  return p.append(std::make_unique<ConvolutionOperation>(tensor, p.trained(), one, c.has_bias), {image},
                  {c.channels, one.out_height(), one.out_width()});
}

Value max_pool(Program &p, Value image, int window, int stride, int padding) {
  const Shape &of = image_of(p, image, "max pooling");
  const Pool2d one{std::size_t(of[0]), int(of[1]), int(of[2]), window, stride, padding};
  if (window < 1 || window > 15 || stride < 1 || padding < 0 || 2 * padding > window ||
      std::min(of[1], of[2]) + 2 * padding < window)
    throw InputError("network: max pooling: found windows of ", window, " with stride ", stride, " and padding ",
                     padding, " of an image of ", of[1], " x ", of[2], ", expected 1 to 15 that fit into it");
  return p.append(std::make_unique<MaxPoolOperation>(one), {image}, {of[0], one.out_height(), one.out_width()});
}

Value mean_of_image(Program &p, Value image) {
  const Shape &of = image_of(p, image, "mean");
  return p.append(std::make_unique<ImageMeanOperation>(int(of[0]), int(of[1] * of[2])), {image}, {of[0]});
}

Value flatten(Program &p, Value image) {
  const Shape &of = image_of(p, image, "flatten");
  return p.append(std::make_unique<FlattenOperation>(int(of[0]), int(of[1] * of[2])), {image}, {of[0] * of[1] * of[2]});
}

} // namespace theta
