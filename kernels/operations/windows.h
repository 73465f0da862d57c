// Batches of windows of text, drawn for many networks that each read its own mixture of classes (languages, say).
#pragma once
#include "kernels/device/device.h"
#include "kernels/device/philox.h"

namespace theta {

// Characters on a device: class c is code[begin[c] .. begin[c + 1]), longer than a window.
struct CharacterSet {
  const std::uint8_t *code;
  const std::uint32_t *begin; // [classes + 1]
  int classes;
};

// Step `step` of training draws `batch` windows of `context` characters and the one after for each of `networks`: of class
// c with probability share[n, c] (rows that add up to 1), at any place of it alike.
struct WindowOrder {
  int networks, batch, context;
  std::uint64_t seed;
  std::uint32_t first_stream;
  std::uint64_t step;

  // Where window b of a network begins.
  THETA_HOST_DEVICE std::uint32_t place(int network, int b, const std::uint32_t *begin, const float *share,
                                        int classes) const {
    const Bits4 bits = philox(seed, Purpose::batch_order, first_stream + std::uint32_t(network),
                              step * std::uint64_t(batch) + std::uint64_t(b));
    float left = uniform01(bits.word[0]);
    int chosen = 0; // the last with a share, where rounding leaves something
    for (int c = 0; c < classes; ++c) {
      if (!(share[c] > 0))
        continue;
      chosen = c;
      if (left < share[c])
        break;
      left -= share[c];
    }
    return begin[chosen] + uniform_below(bits.word[1], begin[chosen + 1] - begin[chosen] - std::uint32_t(context));
  }
};

// x[n, b, t] = the code of character t of window b, next[n, b, t] that of the character behind it.
//   x [networks, batch, context] as numbers; next the same shape, bytes; share [networks, classes].
// Bytes: networks·batch·context·(3 + sizeof(T)).
template <class T>
void gather_windows(Stream &, T *x, std::uint8_t *next, const CharacterSet &, const float *share, const WindowOrder &);

} // namespace theta
