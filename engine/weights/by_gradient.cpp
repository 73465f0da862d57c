#include "by_gradient.h"
#include "engine/memory/arena.h"
#include "engine/networks/layout.h"
#include "kernels/device/error.h"
#include "principal.h"
#include <algorithm>
#include <cmath>
#include <tuple>

namespace theta {

namespace {

constexpr double held = 0.1; // λ
constexpr int most_directions = 16;

std::vector<float> rates_of(const std::vector<TensorPlace> &layout, std::size_t v, std::size_t n,
                            const ByGradient::Read &gradient, const ByGradient::Read &change) {
  std::vector<double> products(v), squares(v); // −Σ g·d, Σ g²
  std::vector<float> g(v), d(v), rates(v);
  for (std::size_t i = 0; i < n; ++i) {
    gradient(i, g.data()), change(i, d.data());
    for (std::size_t j = 0; j < v; ++j)
      products[j] -= double(g[j]) * double(d[j]), squares[j] += double(g[j]) * double(g[j]);
  }
  for (const TensorPlace &tensor : layout) {
    const std::size_t size = elements_of(tensor);
    double product = 0, square = 0;
    for (std::size_t j = tensor.offset; j < tensor.offset + size; ++j)
      product += products[j], square += squares[j];
    if (!(square > 0))
      continue;
    const double own = held * square / double(size), all = product / square;
    for (std::size_t j = tensor.offset; j < tensor.offset + size; ++j)
      rates[j] = float((products[j] + own * all) / (squares[j] + own));
  }
  return rates;
}

// Principal directions, of length 1, [d, V], and the deviation along the first.
std::pair<std::vector<float>, float> directions_of(std::size_t v, std::size_t n, const ByGradient::Read &gradient) {
  PrincipalComponents components(n, v, std::min(most_directions, int(std::min(n - 1, v))));
  MemoryPlan plan("fit.gradients");
  components.plan(plan);
  plan.place();
  const Arena arena(Device{}, plan);
  std::vector<float> whole(v);
  const auto read = [&](std::size_t k, std::size_t first, std::size_t count, float *to) {
    gradient(k, whole.data());
    std::copy_n(whole.data() + first, count, to);
  };
  components.fit(read);
  std::vector<float> all(std::size_t(components.directions()) * v);
  components.windows(read,
                     [&](std::size_t first, std::size_t count, const float *, const float *part, std::size_t step) {
                       for (std::size_t k = 0; k < all.size() / v; ++k)
                         std::copy_n(part + k * step, count, all.data() + k * v + first);
                     });
  return {all, std::max(float(components.deviations()[0]), 1e-30f)};
}

} // namespace

ByGradient::ByGradient(const std::vector<TensorPlace> &layout, std::size_t v, std::size_t n, const Read &gradient,
                       const Read &change)
    : rates_(rates_of(layout, v, n, gradient, change)) {
  if (n < 5)
    throw InputError("fit.shown: found ", n, " networks to learn from, expected at least 5");
  std::tie(directions_, deviation_) = directions_of(v, n, gradient);
  std::vector<float> g(v), facts;
  double share = 0;
  for (std::size_t i = 0; i < n; ++i) {
    gradient(i, g.data());
    const auto its = along(g.data());
    facts.insert(facts.end(), its.begin(), its.end());
    share += share_along(g.data(), its) / double(n);
  }
  share_ = float(share);
  ridge_.emplace(facts, directions_.size() / v, v, [&](std::size_t i, float *left) {
    change(i, left), gradient(i, g.data());
    for (std::size_t j = 0; j < v; ++j)
      left[j] += rates_[j] * g[j];
  });
}

ByGradient::ByGradient(Numbers of)
    : rates_(std::move(of.rates)), directions_(std::move(of.directions)), deviation_(of.scales.at(0)),
      share_(of.scales.at(1)) {
  ridge_.emplace(directions_.size() / rates_.size(), rates_.size(), std::move(of.ridge));
}

std::vector<float> ByGradient::along(const float *gradient) const {
  const std::size_t v = rates_.size();
  std::vector<float> all;
  for (std::size_t k = 0; k < directions_.size() / v; ++k) {
    double sum = 0;
    for (std::size_t j = 0; j < v; ++j)
      sum += double(gradient[j]) * double(directions_[k * v + j]);
    all.push_back(float(sum / double(deviation_)));
  }
  return all;
}

double ByGradient::share_along(const float *gradient, const std::vector<float> &along) const {
  double in = 0, all = 0;
  for (const float each : along)
    in += std::pow(double(each) * double(deviation_), 2);
  for (std::size_t j = 0; j < rates_.size(); ++j)
    all += double(gradient[j]) * double(gradient[j]);
  return all > 0 ? in / all : 0;
}

void ByGradient::change(const float *gradient, float *change) const {
  const auto its = along(gradient);
  ridge_->answer(its.data(), change);
  const double known = share_ > 0 ? std::min(1.0, share_along(gradient, its) / double(share_)) : 0;
  for (std::size_t j = 0; j < rates_.size(); ++j)
    change[j] = float(known * double(change[j]) - double(rates_[j]) * double(gradient[j]));
}

} // namespace theta
