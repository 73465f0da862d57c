// Flat weights of perceptrons on their way to a generator and back: hidden units brought to one scale, phase or sign,
// or to random ones and into a random order, and weights gathered into tokens and scattered again. None of it changes
// what a network computes. Weights are in PyTorch's order: layer by layer, weight [out, in], then bias [out].
#pragma once
#include "device.h"
#include "random.h"
#include <vector>

namespace theta {

inline constexpr int most_layers = 16;

// Widths of a perceptron, inputs and outputs among them.
struct PerceptronWidths {
  int layers = 0; // of weights
  int width[most_layers + 1] = {};

  // Throws InputError for fewer than one layer, or more than most_layers.
  static PerceptronWidths of(const std::vector<int> &widths);
  THETA_HOST_DEVICE std::size_t parameters() const {
    std::size_t n = 0;
    for (int l = 0; l < layers; ++l)
      n += std::size_t(width[l] + 1) * std::size_t(width[l + 1]);
    return n;
  }
};

// What a unit is brought to. norms: incoming weights with the bias and outgoing weights of equal norms (ReLU). signs:
// the first of the incoming weights of largest size is positive (tanh). phases: first the bias is within half a turn,
// |30·b| <= π/2, as sine(z + kπ) = (−1)^k·sine(z); then signs (sine, whose omega is 30).
enum class UnitBalance { none, norms, signs, phases };

// One pass over the hidden layers, first to last, in place; with several layers, a pass disturbs the norms of the layer
// before by less each time.   theta [networks, V]. Bytes: about 4·networks·V·sizeof(T). One warp a unit.
template <class T> void balance_units(Stream &, T *theta, int networks, const PerceptronWidths &, UnitBalance);

// What a unit's incoming weights and bias are multiplied by, and its outgoing weights divided by: a random sign (tanh,
// sine), and exp(spread·N(0, 1)) (ReLU).
struct UnitFactors {
  bool signs = false;
  double spread = 0;
};

// The factor of unit `unit` of layer `layer` in the network of stream `stream`.
THETA_HOST_DEVICE inline float unit_factor(const UnitFactors &f, const Draws &d, std::uint32_t stream, int layer,
                                           std::uint32_t unit) {
  const std::uint64_t index = (d.first_index + std::uint64_t(layer)) << 32 | unit;
  const float size = f.spread > 0 ? expf(float(f.spread) * normal(d.seed, Purpose::unit_factor, stream, index)) : 1;
  return f.signs && philox(d.seed, Purpose::unit_factor, stream, index).word[2] % 2 ? -size : size;
}

// to = from with the units of every hidden layer in a random order and multiplied by random factors: unit u of layer l
// (1 for the first) is unit RandomOrder(seed, purpose, first_stream + network, first_index + l)(u) of `from`. Networks
// i and i + pair get the same: `networks` is 2·pair, or pair is 0.   to, from [networks, V]. Bytes:
// 2·networks·V·sizeof(T).
template <class T>
void shuffle_units(Stream &, T *to, const T *from, int networks, int pair, const PerceptronWidths &,
                   const UnitFactors &, const Draws &);

// tokens[r, e] = (theta[r/repeat, place[e]] − mean[e])/std[e], 0 where place[e] < 0.
//   tokens [networks·repeat, size]; theta [networks, V]; place, mean, std [size]. Bytes:
//   networks·(V + repeat·size)·sizeof(T).
template <class T>
void gather_tokens(Stream &, T *tokens, const T *theta, const std::int32_t *place, const T *mean, const T *std,
                   int networks, int repeat, std::size_t parameters, std::size_t size);

// The inverse, with repeat 1: theta[r, place[e]] = tokens[r, e]·std[e] + mean[e]. Places that no token has keep theirs.
template <class T>
void scatter_tokens(Stream &, T *theta, const T *tokens, const std::int32_t *place, const T *mean, const T *std,
                    int networks, std::size_t parameters, std::size_t size);

} // namespace theta
