// The curvature of a network's loss: its Hessian through differences of gradients, in double.
#pragma once
#include "data/dataset.h"
#include "engine/memory/arena.h"
#include "engine/networks/layered.h"
#include <functional>

namespace theta {

// Gradients of the mean cross-entropy over rows x [rows, inputs], labels [rows], of a classifier in host memory; and
// products of its Hessian with vectors: H·v = (∇L(θ + h·v) − ∇L(θ − h·v)) / 2h, whose error is of the order of h²‖v‖²
// and of 1e-16/h. h is 1e-8·(1 + ‖θ‖)/‖v‖: so small that a unit of ReLU hardly ever turns on or off between the two,
// which would count as a curvature that no point has.
class LossGradient {
public:
  // Throws InputError for networks that do not go layer by layer (LayeredNetworks).
  LossGradient(const NetworkShape &, int rows);
  static bool can(const NetworkShape &);
  std::size_t parameters() const { return parameters_; } // V
  const MemoryPlan &plan() const { return plan_; }

  void start(const std::vector<double> &x, const std::vector<std::uint8_t> &label);
  double operator()(const double *theta, std::vector<double> &gradient); // the loss
  std::vector<double> hessian_times(const std::vector<double> &theta, const std::vector<double> &v);

private:
  std::shared_ptr<LayeredNetworks<double>> network_;
  std::size_t parameters_;
  int rows_;
  MemoryPlan plan_{"eval.curvature"};
  Tensor<double> theta_, gradient_, x_, row_loss_;
  Tensor<std::uint8_t> label_;
  std::unique_ptr<Arena> arena_;
};

// Of each weight, the mean over networks theta [n, V] in host memory, and over `images` of the training part, evenly
// spaced, of the square of the gradient of the loss on that image alone: the diagonal of the empirical Fisher
// information, whose root says how much a weight counts.
std::vector<double> mean_squared_gradients(const NetworkShape &, const Dataset &, std::size_t images,
                                           const std::vector<float> &theta);

using Product = std::function<std::vector<double>(const std::vector<double> &)>;

// The mean of vᵀHv over `probes` vectors of random signs (Hutchinson, 1990), and the standard error of that mean.
struct TraceEstimate {
  double trace, error;
};
TraceEstimate hutchinson_trace(const Product &, std::size_t n, int probes, std::uint64_t seed, std::uint32_t stream);

// The largest and the least eigenvalue that `steps` of Lanczos's iteration find (with full reorthogonalisation; exact
// after n).
struct Extremes {
  double largest, least;
};
Extremes lanczos_extremes(const Product &, std::size_t n, int steps, std::uint64_t seed, std::uint32_t stream);

} // namespace theta
