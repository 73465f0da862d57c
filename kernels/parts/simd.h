// A few numbers at a time on the cpu: packs of the compiler's vector types, as wide as the machine's registers, and the
// functions of them that a small network needs. Single precision has polynomials of its own (Cephes: Moshier,
// 1984-2000), good to about 2e-7; double calls the library, lane by lane, and is for tests.
//
// The same bits on every processor: a product and a sum are rounded as one only where multiply_add says so, never by
// the compiler's choice (-ffp-contract=off), and a sum across lanes has the order of RowSum or add_lanes, which does
// not depend on how wide a pack is.
#pragma once
#include "activations.h"
#include "kernels/device/bf16.h"
#include "kernels/device/philox.h"
#include <algorithm>
#include <cmath>
#include <cstring>
#include <type_traits>
#include <utility>
#if defined(__AVX__)
#include <immintrin.h>
#endif

namespace theta::simd {

// What the compiler was told of: bytes of a register, and how many there are.
#if defined(__AVX512F__) && defined(__AVX512VL__) && defined(__AVX512DQ__)
inline constexpr int pack_bytes = 64, registers = 32;
#elif defined(__AVX__)
inline constexpr int pack_bytes = 32, registers = 16;
#else
inline constexpr int pack_bytes = 16, registers = 16;
#endif

// Lanes of the widest pack; and of one half as wide where that computes as much an instruction's worth of lanes that
// are not padding (panels.h chooses).
template <class T> constexpr int lanes = pack_bytes / int(sizeof(T));
template <class T> constexpr int narrow_lanes = pack_bytes == 64 && std::is_same_v<T, float> ? lanes<T> / 2 : lanes<T>;

template <class T, int L> struct PackOf { typedef T type __attribute__((vector_size(L * sizeof(T)))); };
template <class T, int L = lanes<T>> using Pack = typename PackOf<T, L>::type;
using Floats = Pack<float>;
using Words = Pack<std::uint32_t>;

template <class V> using Element = std::remove_cvref_t<decltype(std::declval<V &>()[0])>;
template <class V> constexpr int lanes_of = int(sizeof(V) / sizeof(Element<V>));
// Whole numbers as wide as V's.
template <class V>
using Integers = Pack<std::conditional_t<sizeof(Element<V>) == 4, std::int32_t, std::int64_t>, lanes_of<V>>;

template <class V> inline V load(const Element<V> *from) {
  V x;
  std::memcpy(&x, from, sizeof x);
  return x;
}
template <class V> inline void store(Element<V> *to, V x) { std::memcpy(to, &x, sizeof x); }

// The first `count` lanes from and to memory; others are zero, and stay where they are.
template <class V> inline V load_some(const Element<V> *from, int count) {
  if (count >= lanes_of<V>)
    return load<V>(from);
#if defined(__AVX512F__)
  if constexpr (sizeof(V) == 64 && std::is_same_v<Element<V>, float>)
    return V(_mm512_maskz_loadu_ps(__mmask16((1u << count) - 1), from));
#endif
  V x{};
  std::memcpy(&x, from, std::size_t(count) * sizeof(Element<V>));
  return x;
}
template <class V> inline void store_some(Element<V> *to, V x, int count) {
  if (count >= lanes_of<V>)
    return store(to, x);
#if defined(__AVX512F__)
  if constexpr (sizeof(V) == 64 && std::is_same_v<Element<V>, float>)
    return _mm512_mask_storeu_ps(to, __mmask16((1u << count) - 1), __m512(x));
#endif
  std::memcpy(to, &x, std::size_t(count) * sizeof(Element<V>));
}

// The same of numbers that may be stored as bf16.
template <class V, class T> inline V load_wide(const T *from, int count) {
  if constexpr (std::is_same_v<Element<V>, T>) {
    return load_some<V>(from, count);
  } else {
    if (count >= lanes_of<V>) {
      const auto bits = load<Pack<std::uint16_t, lanes_of<V>>>(&from->bits);
      return std::bit_cast<V>(__builtin_convertvector(bits, Pack<std::uint32_t, lanes_of<V>>) << 16);
    }
    V x{};
    for (int i = 0; i < std::min(count, lanes_of<V>); ++i)
      x[i] = widened(from[i]);
    return x;
  }
}
// The nearest bf16 of each lane, in its upper half (to_bf16).
template <class V> inline Pack<std::uint32_t, lanes_of<V>> rounded_above(V x) {
  using W = Pack<std::uint32_t, lanes_of<V>>;
  const W bits = std::bit_cast<W>(x), nearest = bits + 0x7FFFu + (bits >> 16 & 1u);
  return ((bits & 0x7FFFFFFFu) > 0x7F800000u ? W{} + 0x7FFF0000u : nearest) & 0xFFFF0000u;
}
template <class T, class V> inline void store_rounded(T *to, V x, int count) {
  if constexpr (std::is_same_v<Element<V>, T>) {
    store_some(to, x, count);
  } else {
    using Halves = Pack<std::uint16_t, lanes_of<V>>;
    const Halves halves = __builtin_convertvector(rounded_above(x) >> 16, Halves);
    if (count >= lanes_of<V>)
      store(&to->bits, halves);
    else
      std::memcpy(to, &halves, std::size_t(std::max(0, count)) * sizeof(T));
  }
}

template <class V> inline V broadcast(Element<V> x) { return x - V{}; }

// a·b + c, rounded once. A processor without the instruction rounds twice.
template <class V> inline V multiply_add(V a, V b, V c) {
#if defined(__AVX512F__)
  if constexpr (sizeof(V) == 64 && std::is_same_v<Element<V>, float>)
    return V(_mm512_fmadd_ps(__m512(a), __m512(b), __m512(c)));
  else if constexpr (sizeof(V) == 64 && std::is_same_v<Element<V>, double>)
    return V(_mm512_fmadd_pd(__m512d(a), __m512d(b), __m512d(c)));
#endif
#if defined(__FMA__)
  if constexpr (sizeof(V) == 32 && std::is_same_v<Element<V>, float>)
    return V(_mm256_fmadd_ps(__m256(a), __m256(b), __m256(c)));
  else if constexpr (sizeof(V) == 32 && std::is_same_v<Element<V>, double>)
    return V(_mm256_fmadd_pd(__m256d(a), __m256d(b), __m256d(c)));
#endif
  return a * b + c;
}
template <class V> inline V multiply_add(Element<V> a, V b, V c) { return multiply_add(broadcast<V>(a), b, c); }
template <class V> inline V multiply_add(V a, V b, Element<V> c) { return multiply_add(a, b, broadcast<V>(c)); }

// Of c, highest power first.
template <class V, class... C> inline V polynomial(V x, Element<V> first, C... c) {
  V sum = broadcast<V>(first);
  ((sum = multiply_add(sum, x, Element<V>(c))), ...);
  return sum;
}

// 0, 1, 2, ...
template <class V> inline V counting() {
  V x;
  for (int i = 0; i < lanes_of<V>; ++i)
    x[i] = Element<V>(i);
  return x;
}

template <class V, class F> inline V each_lane(V x, F f) {
  for (int i = 0; i < lanes_of<V>; ++i)
    x[i] = f(x[i]);
  return x;
}

// lanes bytes as numbers.
template <class V> inline V from_bytes(const std::uint8_t *bytes) {
#if defined(__AVX512F__) // GCC 12 takes the general way byte by byte
  if constexpr (sizeof(V) == 64 && std::is_same_v<Element<V>, float>)
    return V(_mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i *>(bytes)))));
#endif
#if defined(__AVX2__)
  if constexpr (sizeof(V) == 32 && std::is_same_v<Element<V>, float>)
    return V(_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadu_si64(bytes))));
#endif
  return __builtin_convertvector(__builtin_convertvector(load<Pack<std::uint8_t, lanes_of<V>>>(bytes), Integers<V>), V);
}

template <class V> inline V larger(V a, V b) { return a > b ? a : b; }

// All lanes as one: every lane joined with the one half a pack away, then a quarter, and so on.
template <class V, class F> inline Element<V> fold(V x, F join) {
#pragma GCC unroll 4
  for (int half = lanes_of<V> / 2; half > 0; half /= 2)
    x = join(x, __builtin_shuffle(x, counting<Integers<V>>() ^ half));
  return x[0];
}
template <class V> inline Element<V> sum(V x) {
  return fold(x, [](auto a, auto b) { return a + b; });
}
template <class V> inline Element<V> largest(V x) {
  return fold(x, [](auto a, auto b) { return larger(a, b); });
}

// The first `count` lanes of x, the others zero.
template <class V> inline V first_lanes(V x, int count) {
  return count >= lanes_of<V> ? x : (counting<V>() < Element<V>(count) ? x : V{});
}

// It is loaded once, however often it is used.
template <class V> [[gnu::always_inline]] inline void in_register(V &x) {
#if defined(__AVX512F__)
  asm("" : "+v"(x));
#elif defined(__AVX__)
  asm("" : "+x"(x));
#else
  (void)x;
#endif
}

// A sum along a row: element i goes to lane i % (64 / sizeof(T)), of as many packs as that takes.
template <class T> class RowSum {
public:
  static constexpr int packs = 64 / pack_bytes;
  // Elements i.. of the row, i a multiple of lanes<T>.
  void add(int i, Pack<T> x) { part_[i / lanes<T> % packs] += x; }
  void add_product(int i, Pack<T> a, Pack<T> b) {
    Pack<T> &part = part_[i / lanes<T> % packs];
    part = multiply_add(a, b, part);
  }
  T total() const {
    Pack<T> all[packs];
    for (int i = 0; i < packs; ++i)
      all[i] = part_[i];
    for (int half = packs / 2; half > 0; half /= 2)
      for (int i = 0; i < half; ++i)
        all[i] += all[i + half];
    return sum(all[0]);
  }

private:
  Pack<T> part_[packs] = {};
};

// Σ term(i, how many of its lanes count) over the packs of a row of n.
template <class T, class F> inline T row_sum(int n, F term) {
  RowSum<T> all;
  for (int i = 0; i < n; i += lanes<T>)
    all.add(i, term(i, n - i));
  return all.total();
}

// Σ term(i) over n elements in double, in the order of RowSum; term gives a double.
template <class F> inline double sum_in_double(std::size_t n, F term) {
  constexpr std::size_t L = 8;
  double part[L] = {};
  std::size_t i = 0;
  for (; i + L <= n; i += L)
#pragma omp simd
    for (std::size_t k = 0; k < L; ++k)
      part[k] += term(i + k);
  for (; i < n; ++i)
    part[i % L] += term(i);
  for (std::size_t half = L / 2; half > 0; half /= 2)
    for (std::size_t k = 0; k < half; ++k)
      part[k] += part[k + half];
  return part[0];
}

// Adds x's lanes to `to` as packs of 32 bytes would be, one such pack after the other: where lanes are examples, of
// which a narrower processor takes fewer at a time.
template <class V> inline void add_lanes(Element<V> &to, V x) {
  constexpr int some = std::min(lanes_of<V>, int(32 / sizeof(Element<V>)));
#pragma GCC unroll 4
  for (int half = some / 2; half > 0; half /= 2)
    x += __builtin_shuffle(x, counting<Integers<V>>() ^ half);
  for (int i = 0; i < lanes_of<V>; i += some)
    to += x[i];
}

template <class V> inline V square_root(V x) {
#if defined(__AVX512F__)
  if constexpr (sizeof(V) == 64 && std::is_same_v<Element<V>, float>)
    return V(_mm512_sqrt_ps(__m512(x)));
#endif
#if defined(__AVX__)
  if constexpr (sizeof(V) == 32 && std::is_same_v<Element<V>, float>)
    return V(_mm256_sqrt_ps(__m256(x)));
#endif
  return each_lane(x, [](auto v) { return std::sqrt(v); });
}

// n as floats and integers with x = n·unit + remainder, |remainder| <= unit/2: n is rounded by adding 1.5·2²³.
template <class V> struct Nearest {
  V n;
  Integers<V> bits;
};
template <class V> inline Nearest<V> nearest(V x) {
  const V magic = broadcast<V>(12582912.0f), shifted = x + magic;
  return {shifted - magic, Integers<V>(shifted) - Integers<V>(magic)};
}

// The nearest whole numbers, of equally near ones the even; |x| below 2²², of doubles 2⁵¹.
template <class V> inline V whole(V x) {
  const V magic = broadcast<V>(std::is_same_v<Element<V>, float> ? Element<V>(12582912.0) : Element<V>(0x1.8p52));
  return (x + magic) - magic;
}

// exp(x) − 1 and exp(x).
template <class V> struct Exponential { V minus_one, value; };
template <class V> inline Exponential<V> exponential(V x) {
  if constexpr (std::is_same_v<Element<V>, float>) {
    x = x < -87.0f ? broadcast<V>(-87.0f) : x, x = x > 88.0f ? broadcast<V>(88.0f) : x;
    const auto [n, bits] = nearest(x * 1.44269504088896341f);
    const V r = multiply_add(2.12194440e-4f, n, multiply_add(-0.693359375f, n, x));
    const V p = polynomial(r, 1.9875691500e-4f, 1.3981999507e-3f, 8.3334519073e-3f, 4.1665795894e-2f, 1.6666665459e-1f,
                           5.0000001201e-1f);
    const V small = multiply_add(p * r, r, r), scale = V((bits + 127) << 23);
    return {multiply_add(small, scale, scale - 1), (small + 1) * scale};
  } else {
    return {each_lane(x, [](auto v) { return std::expm1(v); }), each_lane(x, [](auto v) { return std::exp(v); })};
  }
}
template <class V> inline V exp(V x) { return exponential(x).value; }

template <class V> inline V tanh(V x) {
  if constexpr (std::is_same_v<Element<V>, float>) {
    const V size = x < 0 ? -x : x, z = x * x;
    const V far = 1 - 2 / (exp(size + size) + 1);
    const V p =
        polynomial(z, -5.70498872745e-3f, 2.06390887954e-2f, -5.37397155531e-2f, 1.33314422036e-1f, -3.33332819422e-1f);
    const V near = multiply_add(x * z, p, x);
    return size < 0.625f ? near : (x < 0 ? -far : far);
  } else {
    return each_lane(x, [](auto v) { return std::tanh(v); });
  }
}

// Abramowitz & Stegun 7.1.26: |error| <= 1.5e-7. `fall` is exp(-x²).
template <class V> inline V erf(V x, V fall) {
  if constexpr (std::is_same_v<Element<V>, float>) {
    const V size = x < 0 ? -x : x, one = broadcast<V>(1), t = 1 / multiply_add(0.3275911f, size, one);
    const V p = t * polynomial(t, 1.061405429f, -1.453152027f, 1.421413741f, -0.284496736f, 0.254829592f);
    const V y = multiply_add(-p, fall, one);
    return x < 0 ? -y : y;
  } else {
    return each_lane(x, [](auto v) { return std::erf(v); });
  }
}

// Both at once, for |x| up to some thousands: the quadrant is taken off in three parts of π/2.
template <class V> struct SineCosine { V sine, cosine; };
template <class V> inline SineCosine<V> sine_cosine(V x) {
  if constexpr (std::is_same_v<Element<V>, float>) {
    const auto [n, quadrant] = nearest(x * 0.636619772367581f);
    const V r = multiply_add(-7.5497899549e-8f, n,
                             multiply_add(-4.83751296997e-4f, n, multiply_add(-1.5703125f, n, x))),
            z = r * r;
    const V s = multiply_add(r * z, polynomial(z, -1.9515295891e-4f, 8.3321608736e-3f, -1.6666654611e-1f), r);
    const V c = multiply_add(z * z, polynomial(z, 2.443315711809948e-5f, -1.388731625493765e-3f, 4.166664568298827e-2f),
                             multiply_add(-0.5f, z, broadcast<V>(1)));
    const Integers<V> odd = (quadrant & 1) != 0;
    const V sine = odd ? c : s, cosine = odd ? s : c;
    return {(quadrant & 2) != 0 ? -sine : sine, ((quadrant + 1) & 2) != 0 ? -cosine : cosine};
  } else {
    return {each_lane(x, [](auto v) { return std::sin(v); }), each_lane(x, [](auto v) { return std::cos(v); })};
  }
}

// act(x) (activations.h) and its slope there.
template <class V> struct Activated { V value, slope; };
template <class V> inline Activated<V> activate_with_slope(Activation act, V x, float omega = usual_omega) {
  using T = Element<V>;
  const V zero{}, one = broadcast<V>(T(1));
  switch (act) {
  case Activation::relu:
    return {x > 0 ? x : zero, x > 0 ? one : zero};
  case Activation::leaky_relu:
    return {x > 0 ? x : T(0.01) * x, x > 0 ? one : broadcast<V>(T(0.01))};
  case Activation::elu: {
    const auto e = exponential(x > 0 ? zero : x);
    return {x > 0 ? x : e.minus_one, x > 0 ? one : e.value};
  }
  case Activation::silu: {
    const V s = 1 / (1 + exp(-x));
    return {x * s, s * multiply_add(x, 1 - s, one)};
  }
  case Activation::gelu: {
    const V fall = exp(T(-0.5) * x * x), half = T(0.5) * (1 + erf(x * T(0.70710678118654752440), fall));
    return {x * half, multiply_add(x * T(0.39894228040143267794), fall, half)};
  }
  case Activation::gelu_tanh: {
    const T c = T(0.79788456080286535588), d = T(0.044715); // (1 + tanh u)/2 is the logistic function of 2u
    const V square = x * x, s = 1 / (1 + exp(-2 * c * multiply_add(d * square, x, x)));
    return {x * s, multiply_add(2 * c * x * s, (1 - s) * multiply_add(3 * d, square, one), s)};
  }
  case Activation::tanh: {
    const V u = tanh(x);
    return {u, multiply_add(-u, u, one)};
  }
  case Activation::sine: {
    const auto w = sine_cosine(T(omega) * x);
    return {w.sine, T(omega) * w.cosine};
  }
  default:
    return {x, one};
  }
}

// Exchanges the off-diagonal halves of each 2·Half x 2·Half block of lanes x lanes numbers.
template <int Half, class V> inline void exchange_halves(V (&x)[lanes_of<V>]) {
  constexpr int n = lanes_of<V>;
  Integers<V> upper, lower;
  for (int lane = 0; lane < n; ++lane) {
    upper[lane] = lane & Half ? n + (lane ^ Half) : lane;
    lower[lane] = lane & Half ? n + lane : lane | Half;
  }
#pragma GCC unroll 8
  for (int block = 0; block < n; block += 2 * Half)
#pragma GCC unroll 8
    for (int i = block; i < block + Half; ++i) {
      const V a = x[i], b = x[i + Half];
      x[i] = __builtin_shuffle(a, b, upper), x[i + Half] = __builtin_shuffle(a, b, lower);
    }
}

// Transposes lanes x lanes numbers held in as many packs.
template <class V> inline void transpose(V (&x)[lanes_of<V>]) {
  if constexpr (lanes_of<V> >= 16)
    exchange_halves<8>(x);
  if constexpr (lanes_of<V> >= 8)
    exchange_halves<4>(x);
  if constexpr (lanes_of<V> >= 4)
    exchange_halves<2>(x);
  exchange_halves<1>(x);
}

} // namespace theta::simd
