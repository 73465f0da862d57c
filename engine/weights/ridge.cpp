#include "ridge.h"
#include "dense.h"
#include "kernels/device/error.h"
#include <array>
#include <cmath>

namespace theta {

namespace {

constexpr std::size_t folds = 5;
constexpr double penalties[] = {0.01, 0.1, 1, 3, 10, 30};

// What is summed over networks: features with features [F, F], features with weights [F, V], squares of weights.
struct Sums {
  std::vector<double> gram, products;
  double squares = 0;
};

// The part of `of` without roots: features come before their roots.
std::vector<double> part(const std::vector<double> &of, std::size_t rows, std::size_t columns, std::size_t stride) {
  std::vector<double> some;
  for (std::size_t r = 0; r < rows; ++r)
    some.insert(some.end(), of.begin() + std::ptrdiff_t(r * stride), of.begin() + std::ptrdiff_t(r * stride + columns));
  return some;
}

// The inverse of gram + penalty on all but the intercept, times the products: [k, V].
std::vector<double> solved(std::vector<double> gram, const std::vector<double> &products, std::size_t k,
                           double penalty) {
  for (std::size_t j = 0; j < k; ++j)
    gram[j * k + j] += j > 0 ? penalty : 1e-6;
  const Spectrum s = spectrum_of(gram.data(), k);
  std::vector<double> scaled = s.vectors; // rows over their eigenvalues
  for (std::size_t j = 0; j < k; ++j)
    for (std::size_t i = 0; i < k; ++i)
      scaled[j * k + i] /= s.values[j];
  return product(transposed_product(s.vectors, scaled, k), products, k);
}

std::vector<double> minus(std::vector<double> a, const std::vector<double> &b) {
  for (std::size_t i = 0; i < a.size(); ++i)
    a[i] -= b[i];
  return a;
}

// Σ |y − Wᵀ·x|² over the networks that were summed.
double missed(const Sums &of, const std::vector<double> &w, std::size_t k, std::size_t v, std::size_t all) {
  const std::vector<double> gram = part(of.gram, k, k, all), known = product(gram, w, k);
  double sum = of.squares;
  for (std::size_t i = 0; i < k * v; ++i)
    sum += w[i] * (known[i] - 2 * of.products[i]); // rows without roots come first
  return sum;
}

} // namespace

std::vector<double> Ridge::features(const float *facts, bool roots) const {
  std::vector<double> x{1};
  x.insert(x.end(), facts, facts + f_);
  for (std::size_t j = 0; roots && j < f_; ++j)
    x.push_back(std::sqrt(std::abs(double(facts[j]))));
  return x;
}

Ridge::Ridge(std::size_t f, std::size_t parameters, std::vector<float> numbers)
    : f_(f), v_(parameters), weights_(std::move(numbers)) {
  if (weights_.size() != (1 + f_) * v_ && weights_.size() != (1 + 2 * f_) * v_)
    throw InputError("ridge: found ", weights_.size(), " numbers for ", f_, " facts and ", v_, " weights");
}

Ridge::Ridge(const std::vector<float> &facts, std::size_t f, std::size_t parameters,
             const std::function<void(std::size_t, float *)> &network)
    : f_(f), v_(parameters) {
  const std::size_t n = facts.size() / f_, all = 1 + 2 * f_;
  if (n < folds)
    throw InputError("ridge: found ", n, " networks, expected at least ", folds);
  std::array<Sums, folds> fold;
  for (Sums &each : fold)
    each.gram.assign(all * all, 0), each.products.assign(all * v_, 0);
  std::vector<float> theta(v_);
  std::vector<double> mean(v_);
  double squares = 0;
  for (std::size_t i = 0; i < n; ++i) {
    Sums &to = fold[i % folds];
    const auto x = features(facts.data() + i * f_, true);
    network(i, theta.data());
    for (std::size_t a = 0; a < all; ++a) {
      for (std::size_t b = 0; b < all; ++b)
        to.gram[a * all + b] += x[a] * x[b];
      double *row = to.products.data() + a * v_;
      for (std::size_t c = 0; x[a] != 0 && c < v_; ++c)
        row[c] += x[a] * double(theta[c]);
    }
    for (std::size_t c = 0; c < v_; ++c)
      mean[c] += double(theta[c]) / double(n), to.squares += double(theta[c]) * double(theta[c]);
  }
  Sums total{std::vector<double>(all * all), std::vector<double>(all * v_), 0};
  for (const Sums &each : fold) {
    for (std::size_t i = 0; i < total.gram.size(); ++i)
      total.gram[i] += each.gram[i];
    for (std::size_t i = 0; i < total.products.size(); ++i)
      total.products[i] += each.products[i];
    total.squares += each.squares;
  }
  squares = total.squares;
  for (const double each : mean)
    squares -= double(n) * each * each; // of what differs from the mean network
  double best = 0, penalty = 0;
  std::size_t chosen = 0;
  for (const std::size_t k : {1 + f_, all})
    for (const double each : penalties) {
      double error = 0;
      for (const Sums &out : fold)
        error += missed(out,
                        solved(part(minus(total.gram, out.gram), k, k, all),
                               part(minus(total.products, out.products), k, v_, v_), k, each),
                        k, v_, all);
      if (chosen == 0 || error < best)
        best = error, penalty = each, chosen = k;
    }
  explained_ = squares > 0 ? 1 - best / squares : 0;
  const auto w = solved(part(total.gram, chosen, chosen, all), part(total.products, chosen, v_, v_), chosen, penalty);
  weights_.assign(w.begin(), w.end());
}

void Ridge::answer(const float *facts, float *theta) const {
  const auto x = features(facts, weights_.size() > (1 + f_) * v_);
  for (std::size_t c = 0; c < v_; ++c) {
    double sum = 0;
    for (std::size_t j = 0; j < x.size(); ++j)
      sum += x[j] * double(weights_[j * v_ + c]);
    theta[c] = float(sum);
  }
}

} // namespace theta
