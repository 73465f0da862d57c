// A plain perceptron of vectors, as DeepWeightFlow (2026) has it for coefficients: linear layers of widths h, h/2, h, a
// layer norm and GELU behind each, dropout behind the first two, and one more layer, which begins at zero. The time stands
// beside the vector, as time.2(gelu(time.0(t))).
#pragma once
#include "engine/layers/linear.h"
#include "model.h"

namespace theta {

struct PlainPerceptronShape {
  int size, width, features; // of the vector; h; of the time
  double dropout = 0;
  Arithmetic arithmetic = Arithmetic::fp32;
};

template <class T> class PlainPerceptron : public FlowModel<T> {
public:
  using typename FlowModel<T>::Told;
  explicit PlainPerceptron(const PlainPerceptronShape &); // throws InputError for an odd width

  const Layout &parameters() const override { return parameters_; }
  const Layout &buffers() const override { return buffers_; } // none
  const EarlyTensors &early() const override { return early_; }
  bool reads_narrow() const override { return false; }
  void plan_for(MemoryPlan &, const std::vector<int> &networks, Mode) override;
  // Conditions are not read. Dropout is of training, by told.seed and told.draw.
  const T *forward(Stream &, const Parameters<T> &, const T *x, const Told &) override;
  T *d_out() const override { return d_out_; }
  void backward(Stream &, const Parameters<T> &) override;

private:
  struct Layer {
    Linear linear;
    std::size_t gamma, beta;
    bool drops;
    Tensor<T> pre{}, mean{}, rstd{}, normal{}, out{}; // [batch, out], [batch] twice
  };
  Draws draws(std::size_t layer) const;

  PlainPerceptronShape shape_;
  Layout parameters_{model_alignment}, buffers_;
  EarlyTensors early_;
  Linear time0_, time2_;
  std::vector<Layer> layers_;
  Linear decode_;
  int batch_ = 0;
  bool trains_ = false;
  const T *time_ = nullptr;
  std::uint64_t seed_ = 0;
  std::uint32_t draw_ = 0;
  Tensor<T> time_pre_, time_act_, time_out_, in_; // [batch, features] three times, [batch, size + features]
  Tensor<T> out_, d_out_, d_, d_next_, d_time_, d_time_pre_;
  Tensor<T> sums_; // of activations' gradients, which nobody reads: layers have their biases in front
};

} // namespace theta
