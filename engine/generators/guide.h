// What is known of samples before they are made, and the way down to it.
#pragma once
#include "kernels/device/device.h"
#include <vector>

namespace theta {

// While samples come about, what a model takes them for (x0) is moved along the gradient of what it misses; the model
// then goes on from there (as MPGD: He et al., 2024; no gradient passes the model). With the variances Σ of what is
// moved, each step is Polyak's (1969), f/(∇fᵀΣ∇f)·Σ∇f, the shortest one in deviations: nothing is to be tuned, as what
// is known can be met exactly.
class Guide {
public:
  virtual ~Guide() = default;
  // Samples first, first + 1, ... of a batch come next.
  virtual void begin(Stream &, std::size_t first) = 0;
  // f of every network of the batch, ½‖what it misses‖², and its gradient [batch, V] at theta [batch, V], both on the
  // device.
  virtual std::vector<double> slope(Stream &, float *gradient, const float *theta) = 0;

  // Variances of the V parameters, up to a factor; none: all alike.
  virtual std::vector<float> variances() const { return {}; }

  static constexpr int steps = 4; // at every answer of the model
};

} // namespace theta
