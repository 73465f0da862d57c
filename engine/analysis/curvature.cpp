#include "curvature.h"
#include "engine/networks/kind.h"
#include "engine/weights/dense.h"
#include "kernels/operations/softmax_cross_entropy.h"
#include <cmath>

namespace theta {

namespace {

double norm_of(const std::vector<double> &v) {
  double sum = 0;
  for (const double x : v)
    sum += x * x;
  return std::sqrt(sum);
}

double dot(const std::vector<double> &a, const std::vector<double> &b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i)
    sum += a[i] * b[i];
  return sum;
}

} // namespace

bool LossGradient::can(const NetworkShape &shape) {
  const auto network = shape.kind->layered_exactly(shape);
  return network && network->layout().trained() == network->layout().size(); // statistics of a batch are no function
}

LossGradient::LossGradient(const NetworkShape &shape, int rows)
    : network_(shape.kind->layered_exactly(shape)), parameters_(layout_of(shape).size()), rows_(rows) {
  if (!network_)
    throw InputError("curvature: found networks of kind ", name_of(shape.kind),
                     ", expected some that go layer by layer");
  theta_ = plan_.reserve<double>("curvature.theta", MemoryClass::data, {std::int64_t(parameters_)});
  gradient_ = plan_.reserve<double>("curvature.gradient", MemoryClass::data, {std::int64_t(parameters_)});
  x_ = plan_.reserve<double>("curvature.x", MemoryClass::data, {rows, inputs_of(shape)});
  label_ = plan_.reserve<std::uint8_t>("curvature.labels", MemoryClass::data, {rows});
  row_loss_ = plan_.reserve<double>("curvature.row_loss", MemoryClass::workspace, {rows});
  network_->plan(plan_, true, 1, rows);
  plan_.place();
}

void LossGradient::start(const std::vector<double> &x, const std::vector<std::uint8_t> &label) {
  if (!arena_)
    arena_ = std::make_unique<Arena>(Device{}, plan_);
  std::copy(x.begin(), x.end(), x_.get());
  std::copy(label.begin(), label.end(), label_.get());
}

double LossGradient::operator()(const double *theta, std::vector<double> &gradient) {
  Stream s{Device{}};
  std::copy_n(theta, parameters_, theta_.get());
  std::fill_n(gradient_.get(), parameters_, 0.0);
  double *logits = network_->forward(s, theta_, x_);
  const int classes = outputs_of(network_->shape());
  softmax_cross_entropy<double>(s, row_loss_, logits, logits, label_,
                                {.rows = rows_, .classes = classes, .label_rows = rows_, .gradient = 1.0 / rows_});
  network_->backward(s, theta_, gradient_, logits, x_);
  gradient.assign(gradient_.get(), gradient_.get() + parameters_);
  double loss = 0;
  for (int r = 0; r < rows_; ++r)
    loss += row_loss_.get()[r] / rows_;
  return loss;
}

std::vector<double> mean_squared_gradients(const NetworkShape &shape, const Dataset &data, std::size_t images,
                                           const std::vector<float> &theta) {
  LossGradient gradient(shape, 1);
  const std::size_t v = gradient.parameters(), n = theta.size() / v, pixels = std::size_t(data.values());
  std::vector<double> sum(v, 0), x(pixels), one;
  for (std::size_t k = 0; k < images; ++k) {
    const std::size_t image = k * data.train.size() / images;
    for (std::size_t i = 0; i < pixels; ++i)
      x[i] = data.train.pixels[image * pixels + i] * data.scale() + data.shift();
    gradient.start(x, {data.train.labels[image]});
    for (std::size_t i = 0; i < n; ++i) {
      const std::vector<double> network(theta.begin() + std::ptrdiff_t(i * v),
                                        theta.begin() + std::ptrdiff_t((i + 1) * v));
      gradient(network.data(), one);
      for (std::size_t c = 0; c < v; ++c)
        sum[c] += one[c] * one[c] / double(n * images);
    }
  }
  return sum;
}

std::vector<double> LossGradient::hessian_times(const std::vector<double> &theta, const std::vector<double> &v) {
  const double length = norm_of(v);
  if (length == 0)
    return std::vector<double>(v.size(), 0);
  const double h = 1e-8 * (1 + norm_of(theta)) / length;
  std::vector<double> at(theta), up, down;
  for (std::size_t i = 0; i < at.size(); ++i)
    at[i] = theta[i] + h * v[i];
  (*this)(at.data(), up);
  for (std::size_t i = 0; i < at.size(); ++i)
    at[i] = theta[i] - h * v[i];
  (*this)(at.data(), down);
  for (std::size_t i = 0; i < at.size(); ++i)
    up[i] = (up[i] - down[i]) / (2 * h);
  return up;
}

TraceEstimate hutchinson_trace(const Product &product, std::size_t n, int probes, std::uint64_t seed,
                               std::uint32_t stream) {
  double mean = 0, squares = 0;
  std::vector<double> v(n);
  for (int p = 0; p < probes; ++p) {
    for (std::size_t i = 0; i < n; ++i)
      v[i] = philox(seed, Purpose::probe_vector, stream, std::uint64_t(p) * n + i).word[0] & 1 ? 1 : -1;
    const double value = dot(v, product(v)), step = value - mean;
    mean += step / (p + 1);
    squares += step * (value - mean);
  }
  return {mean, probes > 1 ? std::sqrt(squares / (probes - 1) / probes) : 0};
}

Extremes lanczos_extremes(const Product &product, std::size_t n, int steps, std::uint64_t seed, std::uint32_t stream) {
  std::vector<std::vector<double>> basis;
  std::vector<double> v(n), diagonal, beside;
  for (std::size_t i = 0; i < n; ++i)
    v[i] = double(normal(seed, Purpose::probe_vector, stream, (std::uint64_t(1) << 40) + i));
  double length = norm_of(v);
  for (int step = 0; step < std::min<int>(steps, int(n)); ++step) {
    for (double &x : v)
      x /= length;
    basis.push_back(v);
    std::vector<double> w = product(v);
    diagonal.push_back(dot(w, v));
    const double before = norm_of(w);
    for (int again = 0; again < 2; ++again) // twice is enough
      for (const auto &b : basis) {
        const double along = dot(w, b);
        for (std::size_t i = 0; i < n; ++i)
          w[i] -= along * b[i];
      }
    length = norm_of(w);
    if (!(length > 1e-12 * (before + 1e-300)))
      break;
    beside.push_back(length);
    v = std::move(w);
  }
  const std::size_t m = diagonal.size();
  std::vector<double> t(m * m, 0);
  for (std::size_t i = 0; i < m; ++i) {
    t[i * m + i] = diagonal[i];
    if (i + 1 < m)
      t[i * m + i + 1] = t[(i + 1) * m + i] = beside[i];
  }
  const auto eigenvalues = eigenvalues_of(t.data(), m);
  return {eigenvalues.back(), eigenvalues.front()};
}

} // namespace theta
