// The principal subspace of K networks of V parameters, exactly, however large V is: where K <= V by the K × K Gram
// matrix of the centred networks (its eigenvectors are the left singular vectors: the "method of snapshots", Sirovich,
// 1987), else by the V × V covariance. Networks stream by in windows of their parameters, twice: once for the Gram
// matrix, once for the directions. In double, on the host: O(K·window + K²) bytes.
//
// Where both are large and few directions are wanted, by subspace iteration instead (Halko, Martinsson & Tropp, 2011,
// algorithm 4.4): a random basis of twice as many directions goes through the covariance eight times. Directions whose
// variances are distinct are found to rounding, others as well as they are told apart; O(V·directions) bytes.
#pragma once
#include "engine/memory/plan.h"
#include <functional>

namespace theta {

class PrincipalComponents {
public:
  // Reads parameters first..first+count−1 of network k.
  using Read = std::function<void(std::size_t k, std::size_t first, std::size_t count, float *theta)>;
  // Is called after every window, with the share of the pass that is done.
  using Told = std::function<void(double share)>;

  // The `directions` of the largest variance, or all that K networks have (0): at most K − 1, and V. `block`: bytes of
  // the networks that are in memory at a time, or of 1,024 parameters of each. `most_exact`: networks, or parameters
  // where they are fewer, whose matrix is decomposed.
  PrincipalComponents(std::size_t networks, std::size_t parameters, int directions,
                      std::size_t block = std::size_t(64) << 20, std::size_t most_exact = 4096);
  void plan(MemoryPlan &); // in host memory

  int directions() const { return directions_; } // d

  // Needs the plan's arena. Deviations of the networks along each direction (population: over K), the largest first, 0
  // beyond the rank; and the networks' coefficients, [K, d]. A direction points to where its largest part is positive.
  void fit(const Read &, const Told & = {});
  const double *deviations() const { return deviation_; }
  const double *coefficients() const { return coefficient_; }

  // Calls f(first, count, mean [count], directions [d, count] with rows `step` apart) for window after window. After
  // fit().
  using TakeWindow = std::function<void(std::size_t first, std::size_t count, const float *mean,
                                        const float *directions, std::size_t step)>;
  void windows(const Read &, const TakeWindow &f, const Told & = {}) const;

private:
  bool by_iteration() const { return basis_size_ > 0; }
  bool by_gram() const { return !by_iteration() && networks_ <= parameters_; }
  std::size_t sides() const { // of the matrix
    return by_iteration() ? basis_size_ : by_gram() ? networks_ : parameters_;
  }
  template <class F> void for_rows(const Read &, F f) const; // f(first, count) with block_ read
  void read_mean(const Read &) const;
  void iterate(const Read &, const Told &); // leaves basis_, and the matrix of what networks have along it
  void read_window(const Read &, std::size_t first, std::size_t count) const;
  void read_rows(const Read &, std::size_t first, std::size_t count) const;

  std::size_t networks_, parameters_, window_, rows_; // window_: parameters; rows_: networks, of a block of covariance
  int directions_;
  std::size_t basis_size_ = 0;                                 // b; 0: exact
  Tensor<double> basis_, products_, along_;                    // [V, b], [V, b], [rows, b]
  Tensor<double> matrix_, block_;                              // [sides, sides], [K, window] or [rows, V]
  Tensor<double> mean_, mix_;                                  // [window or V]; [K, d] or [V, d]
  Tensor<double> deviation_, coefficient_, window_directions_; // [d], [K, d], [d, window]
  Tensor<float> part_, mean_part_, directions_part_;           // [window or V], the same, [d, window]
};

} // namespace theta
