// Flat weights of networks on their way to a generator and back: hidden units brought to one scale, phase or sign, or
// to random ones and into a random order, and weights gathered into tokens and scattered again. None of it changes what
// a network computes.
#pragma once
#include "kernels/device/device.h"
#include "random.h"
#include <vector>

namespace theta {

inline constexpr int most_layers = 128; // sizes go to kernels as arguments, which hold 4,096 bytes

// Layers of weights [out, in, taps] and biases [out], one after another, the units that come out of one being those
// that go into the next. A perceptron has one tap. A convolution has kernel² of them, and channels for units; so has a
// linear layer behind one: the positions of the image that it reads.
struct UnitLayers {
  int layers = 0;
  int width[most_layers + 1] = {}; // units: the inputs', the hidden layers', the outputs'
  int taps[most_layers] = {};
  bool pooled[most_layers] = {}; // by their maximum: what comes out of such a layer cannot change its sign
  double omega = 30;             // of sine

  // A perceptron's. Throws InputError for fewer than two widths, or more than most_layers + 1.
  static UnitLayers of(const std::vector<int> &widths);
  // Appends a layer. Throws InputError where there are most_layers.
  void add(int out, int taps, bool pooled);
  THETA_HOST_DEVICE std::size_t incoming(int l) const { return std::size_t(width[l]) * std::size_t(taps[l]); }
  THETA_HOST_DEVICE std::size_t weights(int l) const { return incoming(l) * std::size_t(width[l + 1]); }
  THETA_HOST_DEVICE std::size_t size(int l) const { return weights(l) + std::size_t(width[l + 1]); }
  THETA_HOST_DEVICE std::size_t parameters() const {
    std::size_t n = 0;
    for (int l = 0; l < layers; ++l)
      n += size(l);
    return n;
  }
};

// What a unit is brought to. norms: incoming weights with the bias and outgoing weights of equal norms (ReLU). signs:
// the cubes of the outgoing weights, whose sum is often near zero, do not sum to less than zero (tanh): a unit says
// rather what goes to a few units behind it with large weights than what goes to many with small weights. phases: first
// the bias is within half a turn, |omega·b| <= π/2, as sin(omega·z + kπ) = (−1)^k·sin(omega·z); then signs (sine).
// Signs and phases leave pooled layers as they are.
enum class UnitBalance { none, norms, signs, phases };

// One pass over the hidden layers, last to first, in place: units have their signs before those that feed them. With
// several layers, a pass disturbs the norms of the layer behind by less each time.   theta [networks, V]. Bytes: about
// 4·networks·V·sizeof(T). One warp a unit.
template <class T> void balance_units(Stream &, T *theta, int networks, const UnitLayers &, UnitBalance);

// What a unit's incoming weights and bias are multiplied by, and its outgoing weights divided by: a random sign (tanh,
// sine; 1 in pooled layers), and exp(spread·N(0, 1)) (ReLU).
struct UnitFactors {
  bool signs = false;
  double spread = 0;
};

// The hidden units of networks 0, 1, ... in a random order and multiplied by random factors: unit u of hidden layer l
// (1 for the first) of network n is unit RandomOrder(seed, purpose, first_stream + n, first_index + l)(u), times a
// factor of the same stream. No layers: nothing moves.
struct UnitShuffle {
  UnitLayers layers;
  UnitFactors factors;
  Draws draws;
};

// What stands at unit `unit` of layer l of network n, 0 the inputs: which unit, times what.
struct UnitSource {
  std::uint32_t unit;
  float factor;
};
THETA_HOST_DEVICE inline UnitSource source_of(const UnitShuffle &s, std::uint32_t n, int l, std::uint32_t unit) {
  if (l == 0 || l == s.layers.layers)
    return {unit, 1};
  const Draws &d = s.draws;
  const std::uint32_t stream = d.first_stream + n;
  const std::uint64_t layer = d.first_index + std::uint64_t(l), index = layer << 32 | unit;
  float factor = 1;
  if (s.factors.spread > 0)
    factor = expf(float(s.factors.spread) * normal(d.seed, Purpose::unit_factor, stream, index));
  if (s.factors.signs && !s.layers.pooled[l - 1] && philox(d.seed, Purpose::unit_factor, stream, index).word[2] % 2)
    factor = -factor;
  return {RandomOrder(d.seed, d.purpose, stream, layer, std::uint32_t(s.layers.width[l]))(unit), factor};
}

// Weight `at` of a network once its units are shuffled; unit(l, u) is what source_of says. Places are below 2^31.
template <class T, class Unit>
THETA_HOST_DEVICE inline T shuffled(const T *theta, const UnitLayers &w, unsigned at, Unit unit) {
  if (w.layers == 0)
    return theta[at];
  int l = 0;
  for (; at >= w.size(l); ++l)
    at -= unsigned(w.size(l)), theta += w.size(l);
  const auto weights = unsigned(w.weights(l)), taps = unsigned(w.taps[l]), in = unsigned(w.width[l]);
  if (at >= weights) {
    const UnitSource bias = unit(l + 1, at - weights);
    return theta[weights + bias.unit] * T(bias.factor);
  }
  const unsigned pair = at / taps;
  const UnitSource to = unit(l + 1, pair / in), from = unit(l, pair % in);
  return theta[(to.unit * in + from.unit) * taps + at % taps] * T(to.factor / from.factor);
}

// tokens[r, e] = (θ[place[e]] − mean[e])/std[e], 0 where place[e] < 0, of network θ = theta[r/repeat], shuffled.
//   tokens [networks·repeat, size]; theta [networks, V]; place, mean, std [size]. Bytes:
//   networks·(V + repeat·size)·sizeof(T).
template <class T>
void gather_tokens(Stream &, T *tokens, const T *theta, const std::int32_t *place, const T *mean, const T *std,
                   int networks, int repeat, std::size_t parameters, std::size_t size, const UnitShuffle &);

// The inverse, with repeat 1 and nothing shuffled: theta[r, place[e]] = tokens[r, e]·std[e] + mean[e]. Places that no
// token has keep theirs.
template <class T>
void scatter_tokens(Stream &, T *theta, const T *tokens, const std::int32_t *place, const T *mean, const T *std,
                    int networks, std::size_t parameters, std::size_t size);

} // namespace theta
