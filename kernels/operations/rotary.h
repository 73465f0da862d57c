// Rotary places (RoFormer: Su et al., 2021, eq. 34): queries and keys are turned by their places, so that their products
// depend on how far apart they are alone.
#pragma once
#include "kernels/device/device.h"
#include "kernels/device/host_device.h"
#include <cmath>

namespace theta {

// Of queries, keys and values of every token, [sequences, tokens, 3, heads, head], head even. Elements k and k + head/2
// of a head (as GPT-NeoX and Llama pair them) are one complex number, which is turned by
//   t·10,000^(−2k/head),   t the token's place in its sequence;
// values stay. Turning back is its inverse, and its backward.
struct Rotary {
  int sequences, tokens, heads, head;
  bool back = false;

  template <class T> struct Turn { T cosine, sine; };
  // The angle in double, taken into one turn before it is rounded.
  template <class T> THETA_HOST_DEVICE Turn<T> turn(int token, int pair) const {
    constexpr double whole = 6.283185307179586;
    double turns = token / whole * std::exp2(-2.0 * pair / head * 13.287712379549449); // log2 of 10,000
    turns -= std::floor(turns);
#ifdef __CUDA_ARCH__ // without the path for large angles
    T sine, cosine;
    sincospif(T(2 * turns), &sine, &cosine);
#else
    const T sine = std::sin(T(whole * turns)), cosine = std::cos(T(whole * turns));
#endif
    return {cosine, back ? -sine : sine};
  }
};

// y as x; it may be x. Bytes: 2·sizeof(T)·n; on cuda a thread takes a pair of a head's queries, keys and values.
template <class T> void rotate(Stream &, T *y, const T *x, const Rotary &);

} // namespace theta
