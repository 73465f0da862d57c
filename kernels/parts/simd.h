// A few numbers at a time on the cpu: packs of the compiler's vector types, 32 bytes wide, and the functions of them
// that a small network needs. Single precision has polynomials of its own (Cephes: Moshier, 1984-2000), good to about
// 2e-7; double calls the library, lane by lane, and is for tests.
#pragma once
#include "activations.h"
#include "kernels/device/philox.h"
#include <cmath>
#include <cstring>
#include <type_traits>
#if defined(__AVX__)
#include <immintrin.h>
#endif

namespace theta::simd {

template <class T> constexpr int lanes = 32 / int(sizeof(T));
template <class T> struct PackOf { typedef T type __attribute__((vector_size(32))); };
template <class T> using Pack = typename PackOf<T>::type;
using Floats = Pack<float>;
using Ints = Pack<std::int32_t>;
using Words = Pack<std::uint32_t>;

template <class T> inline Pack<T> load(const T *from) {
  Pack<T> x;
  std::memcpy(&x, from, sizeof x);
  return x;
}
template <class T> inline void store(T *to, Pack<T> x) { std::memcpy(to, &x, sizeof x); }
template <class T> inline Pack<T> broadcast(T x) { return x - Pack<T>{}; }

// 0, 1, 2, ...
template <class T> inline Pack<T> counting() {
  Pack<T> x;
  for (int i = 0; i < lanes<T>; ++i)
    x[i] = T(i);
  return x;
}

template <class T, class F> inline Pack<T> each_lane(Pack<T> x, F f) {
  for (int i = 0; i < lanes<T>; ++i)
    x[i] = f(x[i]);
  return x;
}

// lanes bytes as numbers.
template <class T> inline Pack<T> from_bytes(const std::uint8_t *bytes) {
#if defined(__AVX2__)
  if constexpr (std::is_same_v<T, float>)
    return Pack<T>(_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadu_si64(bytes))));
#endif
  Pack<T> x;
  for (int i = 0; i < lanes<T>; ++i)
    x[i] = T(bytes[i]);
  return x;
}

template <class T> inline Pack<T> larger(Pack<T> a, Pack<T> b) { return a > b ? a : b; }
template <class T> inline T sum(Pack<T> x) {
  T all = 0;
  for (int i = 0; i < lanes<T>; ++i)
    all += x[i];
  return all;
}

template <class T> inline Pack<T> square_root(Pack<T> x) {
#if defined(__AVX__)
  if constexpr (std::is_same_v<T, float>)
    return Pack<T>(_mm256_sqrt_ps(__m256(x)));
#endif
  return each_lane<T>(x, [](T v) { return std::sqrt(v); });
}

// n as floats and integers with x = n·unit + remainder, |remainder| <= unit/2: n is rounded by adding 1.5·2²³.
struct Nearest {
  Floats n;
  Ints bits;
};
inline Nearest nearest(Floats x) {
  const Floats magic = broadcast(12582912.0f), shifted = x + magic;
  return {shifted - magic, Ints(shifted) - Ints(magic)};
}

// exp(x) − 1 and exp(x).
template <class T> struct Exponential { Pack<T> minus_one, value; };
template <class T> inline Exponential<T> exponential(Pack<T> x) {
  if constexpr (std::is_same_v<T, float>) {
    x = x < -87.0f ? broadcast(-87.0f) : x, x = x > 88.0f ? broadcast(88.0f) : x;
    const auto [n, bits] = nearest(x * 1.44269504088896341f);
    const Floats r = x - n * 0.693359375f + n * 2.12194440e-4f;
    const Floats p = ((((1.9875691500e-4f * r + 1.3981999507e-3f) * r + 8.3334519073e-3f) * r + 4.1665795894e-2f) * r +
                      1.6666665459e-1f) *
                         r +
                     5.0000001201e-1f;
    const Floats small = p * r * r + r, scale = Floats((bits + 127) << 23);
    return {small * scale + (scale - 1), (small + 1) * scale};
  } else {
    return {each_lane<T>(x, [](T v) { return std::expm1(v); }), each_lane<T>(x, [](T v) { return std::exp(v); })};
  }
}
template <class T> inline Pack<T> exp(Pack<T> x) { return exponential<T>(x).value; }

template <class T> inline Pack<T> tanh(Pack<T> x) {
  if constexpr (std::is_same_v<T, float>) {
    const Floats size = x < 0 ? -x : x, z = x * x;
    const Floats far = 1 - 2 / (exp<float>(size + size) + 1);
    const Floats near =
        x + x * z *
                ((((-5.70498872745e-3f * z + 2.06390887954e-2f) * z - 5.37397155531e-2f) * z + 1.33314422036e-1f) * z -
                 3.33332819422e-1f);
    return size < 0.625f ? near : (x < 0 ? -far : far);
  } else {
    return each_lane<T>(x, [](T v) { return std::tanh(v); });
  }
}

// Abramowitz & Stegun 7.1.26: |error| <= 1.5e-7.
template <class T> inline Pack<T> erf(Pack<T> x) {
  if constexpr (std::is_same_v<T, float>) {
    const Floats size = x < 0 ? -x : x, t = 1 / (1 + 0.3275911f * size);
    const Floats p =
        ((((1.061405429f * t - 1.453152027f) * t + 1.421413741f) * t - 0.284496736f) * t + 0.254829592f) * t;
    const Floats y = 1 - p * exp<float>(-size * size);
    return x < 0 ? -y : y;
  } else {
    return each_lane<T>(x, [](T v) { return std::erf(v); });
  }
}

// Both at once, for |x| up to some thousands: the quadrant is taken off in three parts of π/2.
template <class T> struct SineCosine { Pack<T> sine, cosine; };
template <class T> inline SineCosine<T> sine_cosine(Pack<T> x) {
  if constexpr (std::is_same_v<T, float>) {
    const auto [n, quadrant] = nearest(x * 0.636619772367581f);
    const Floats r = ((x - n * 1.5703125f) - n * 4.83751296997e-4f) - n * 7.5497899549e-8f, z = r * r;
    const Floats s = r + r * z * ((-1.9515295891e-4f * z + 8.3321608736e-3f) * z - 1.6666654611e-1f);
    const Floats c =
        1 - 0.5f * z + z * z * ((2.443315711809948e-5f * z - 1.388731625493765e-3f) * z + 4.166664568298827e-2f);
    const Ints odd = (quadrant & 1) != 0;
    const Floats sine = odd ? c : s, cosine = odd ? s : c;
    return {(quadrant & 2) != 0 ? -sine : sine, ((quadrant + 1) & 2) != 0 ? -cosine : cosine};
  } else {
    return {each_lane<T>(x, [](T v) { return std::sin(v); }), each_lane<T>(x, [](T v) { return std::cos(v); })};
  }
}

// act(x) (activations.h) and its slope there.
template <class T> struct Activated { Pack<T> value, slope; };
template <class T> inline Activated<T> activate_with_slope(Activation act, Pack<T> x) {
  const Pack<T> zero{}, one = broadcast(T(1));
  switch (act) {
  case Activation::relu:
    return {x > 0 ? x : zero, x > 0 ? one : zero};
  case Activation::leaky_relu:
    return {x > 0 ? x : T(0.01) * x, x > 0 ? one : broadcast(T(0.01))};
  case Activation::elu: {
    const auto e = exponential<T>(x > 0 ? zero : x);
    return {x > 0 ? x : e.minus_one, x > 0 ? one : e.value};
  }
  case Activation::silu: {
    const Pack<T> s = 1 / (1 + exp<T>(-x));
    return {x * s, s * (1 + x * (1 - s))};
  }
  case Activation::gelu: {
    const Pack<T> half = T(0.5) * (1 + erf<T>(x * T(0.70710678118654752440)));
    return {x * half, half + x * T(0.39894228040143267794) * exp<T>(T(-0.5) * x * x)};
  }
  case Activation::gelu_tanh: {
    const T c = T(0.79788456080286535588), d = T(0.044715);
    const Pack<T> u = tanh<T>(c * (x + d * x * x * x));
    return {T(0.5) * x * (1 + u), T(0.5) * (1 + u) + T(0.5) * x * (1 - u * u) * c * (1 + 3 * d * x * x)};
  }
  case Activation::tanh: {
    const Pack<T> u = tanh<T>(x);
    return {u, 1 - u * u};
  }
  case Activation::sine: {
    const auto w = sine_cosine<T>(T(30) * x);
    return {w.sine, T(30) * w.cosine};
  }
  default:
    return {x, one};
  }
}

// Exchanges the off-diagonal halves of each 2·Half x 2·Half block of lanes x lanes numbers.
template <int Half, class T> inline void exchange_halves(Pack<T> (&x)[lanes<T>]) {
  constexpr int n = lanes<T>;
  using Index = Pack<std::conditional_t<sizeof(T) == 4, std::int32_t, std::int64_t>>;
  Index upper, lower;
  for (int lane = 0; lane < n; ++lane) {
    upper[lane] = lane & Half ? n + (lane ^ Half) : lane;
    lower[lane] = lane & Half ? n + lane : lane | Half;
  }
#pragma GCC unroll 4
  for (int block = 0; block < n; block += 2 * Half)
#pragma GCC unroll 4
    for (int i = block; i < block + Half; ++i) {
      const Pack<T> a = x[i], b = x[i + Half];
      x[i] = __builtin_shuffle(a, b, upper), x[i + Half] = __builtin_shuffle(a, b, lower);
    }
}

// Transposes lanes x lanes numbers held in as many packs.
template <class T> inline void transpose(Pack<T> (&x)[lanes<T>]) {
  if constexpr (lanes<T> == 8)
    exchange_halves<4, T>(x);
  exchange_halves<2, T>(x);
  exchange_halves<1, T>(x);
}

} // namespace theta::simd
