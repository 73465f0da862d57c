// Where training ends, told by the gradient g of examples where it begins, learned from networks of which both are known.
// The change of weight j is
//   −rate[j]·g[j] + s(g)·(a ridge regression on g's coordinates along the gradients' 16 principal directions)[j].
// A weight's rate, over networks i of change d,
//   rate[j] = −(Σ g[i, j]·d[i, j] + λ·q·r)/(Σ g[i, j]² + λ·q),
// q and r the mean of Σ g² and the rate −Σ g·d/Σ g² of all weights of j's tensor, λ = 0.1, is what Meta-SGD (Li et al.,
// 2017) learns by descent, in closed form. No weight knows of another there: a gradient in a direction that no network
// has had is taken as far as any other. The regression, of what is left, knows the directions that they have had, and has
// nothing to say of others: s(g) is the share of |g|² along them, over the mean of that share, 1 at most.
#pragma once
#include "data/zoo_format.h"
#include "ridge.h"
#include <optional>

namespace theta {

class ByGradient {
public:
  // gradient(i, to [V]) and change(i, to [V]) of networks i below n, in any order and several times. Throws InputError
  // below five.
  using Read = std::function<void(std::size_t i, float *to)>;
  ByGradient(const std::vector<TensorPlace> &, std::size_t parameters, std::size_t n, const Read &gradient,
             const Read &change);
  struct Numbers {
    std::vector<float> rates, directions; // [V], 0 where gradients are; [16, V], of length 1
    std::vector<float> scales;            // the largest deviation along one; the mean of the share along all
    std::vector<float> ridge;             // Ridge::numbers
  };
  explicit ByGradient(Numbers); // what was saved of one

  void change(const float *gradient, float *change) const; // [V] -> [V]

  Numbers numbers() const { return {rates_, directions_, {deviation_, share_}, ridge_->numbers()}; }
  double explained() const { return ridge_->explained(); } // of what rates leave, of networks that it has not seen

private:
  std::vector<float> along(const float *gradient) const; // [16], over the deviation
  double share_along(const float *gradient, const std::vector<float> &along) const;
  std::vector<float> rates_, directions_;
  float deviation_ = 1, share_ = 1;
  std::optional<Ridge> ridge_;
};

} // namespace theta
