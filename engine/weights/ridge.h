// A straight line from what is known of networks to their weights: ridge regression (Hoerl & Kennard, 1970) of every
// weight on the facts and, where five-fold cross-validation prefers it, their square roots; so does it choose the penalty.
#pragma once
#include <cstddef>
#include <functional>
#include <vector>

namespace theta {

class Ridge {
public:
  // facts [n, f], network(i, theta [V]) for i below n, asked for once each, in order. Throws InputError below five.
  Ridge(const std::vector<float> &facts, std::size_t f, std::size_t parameters,
        const std::function<void(std::size_t i, float *theta)> &network);
  // What was saved of one (numbers()).
  Ridge(std::size_t f, std::size_t parameters, std::vector<float> numbers);

  void answer(const float *facts, float *theta) const; // [f] -> [V]
  // The share of the networks' variance that it tells of networks which it has not seen.
  double explained() const { return explained_; }
  std::size_t facts() const { return f_; }
  std::size_t parameters() const { return v_; }
  // [1 + f or 1 + 2f, V]: the intercept, then what multiplies facts, then their roots.
  const std::vector<float> &numbers() const { return weights_; }

private:
  std::vector<double> features(const float *facts, bool roots) const;
  std::size_t f_, v_;
  std::vector<float> weights_;
  double explained_ = 0;
};

} // namespace theta
