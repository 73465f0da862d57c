// Codes under noise, by Bayes' rule: a model says what it expects of each code before it has looked at that code itself,
// and what its noisy value says is known exactly. So nothing has to be learned of how a number near a code is rounded to
// it. A code c is the token x = (c − mean)/std, and beside it stands a second number of the model's answer.
#pragma once
#include "diffusion.h"

namespace theta {

template <class T> struct CodeElements {
  int rows;
  std::size_t size;           // of a row of tokens
  const std::int32_t *second; // [size]: where a code's second number is, −1 for what is no code
  int most;                   // codes −most..most
  const T *mean, *std;        // [size]
};

// The model's two numbers u, v of a code, in place, become the moments E[x], E[x²] of
//   p(c) ∝ exp(u·x + v·x²)·N(z; signal·x, noise²)
// at the row's time. Of two or three codes these are all distributions that there are; of more, those of a normal one cut
// to the codes. The gradient of −log p(c) of the true code is what squared errors of moments have, (E[x] − x, E[x²] − x²):
// the next operation's targets and mean_squared_error make it.
//   y, z [rows, size]; t [rows]. Bytes: 12·n; FLOPs: 20 a code and each value that it may have.
template <class T>
void code_moments(Stream &, T *y, const T *z, const T *t, const NoisePath<T> &, const CodeElements<T> &);

// What codes' moments are to be: x and x², in place of what the objective asks for (target, with z, says x0). Bytes: 12·n.
template <class T>
void code_targets(Stream &, T *target, const T *z, const T *t, const NoisePath<T> &, Objective,
                  const CodeElements<T> &);

// Moments, in place, become what the objective calls E[x]; second numbers 0. Bytes: 12·n.
template <class T>
void code_answers(Stream &, T *y, const T *z, const T *t, const NoisePath<T> &, Objective, const CodeElements<T> &);

// One code's.
template <class T> struct CodeMoments { T first, second; };
template <class T>
THETA_HOST_DEVICE inline CodeMoments<T> moments_of(T u, T v, T z, const NoiseLevel<T> &level, T mean, T std, int most) {
  const T least = T(1e-6), noise = level.noise > least ? level.noise : least;
  const T near = level.signal / (noise * noise); // of x: near·(z·x − signal·x²/2)
  T largest = -HUGE_VALF, sum = 0, first = 0, second = 0;
  for (int code = -most; code <= most; ++code) {
    const T x = (T(code) - mean) / std;
    const T exponent = u * x + v * x * x + near * (z * x - level.signal * x * x / 2);
    if (exponent > largest) { // what has been summed counts less
      const T factor = exp(largest - exponent);
      sum *= factor, first *= factor, second *= factor, largest = exponent;
    }
    const T weight = exp(exponent - largest);
    sum += weight, first += weight * x, second += weight * x * x;
  }
  return {first / sum, second / sum};
}

} // namespace theta
