// Flat weights of perceptrons on their way to a generator and back: hidden units brought to one scale or sign, or into
// a random order, and weights gathered into tokens and scattered again. None of it changes what a network computes.
// Weights are in PyTorch's order: layer by layer, weight [out, in], then bias [out].
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
// the first of the incoming weights of largest size is positive (tanh, sine).
enum class UnitBalance { none, norms, signs };

// One pass over the hidden layers, first to last, in place; with several layers, a pass disturbs the norms of the layer
// before by less each time.   theta [networks, V]. Bytes: about 4·networks·V·sizeof(T). One warp a unit.
template <class T> void balance_units(Stream &, T *theta, int networks, const PerceptronWidths &, UnitBalance);

// to = from with the units of every hidden layer in a random order: unit u of layer l (1 for the first) is unit
// RandomOrder(seed, purpose, first_stream + network, first_index + l)(u) of `from`. Networks i and i + pair of the same
// order: `networks` is 2·pair, or pair is 0.   to, from [networks, V]. Bytes: 2·networks·V·sizeof(T).
template <class T>
void shuffle_units(Stream &, T *to, const T *from, int networks, int pair, const PerceptronWidths &, const Draws &);

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
