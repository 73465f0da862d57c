// Products of bf16 with sums in fp32, as processors multiply them (AVX512-BF16): two neighbours along k lie in one
// word, and one instruction adds both their products to a sum. Elsewhere the same words are widened and the same sums
// made of two multiply-adds, bit by bit the same: the later product first, each rounded once. (What is below 2^-126
// counts as zero where the processor says so.)
#pragma once
#include "kernels/device/arithmetic.h"
#include "simd.h"

namespace theta::simd {

// Two bf16, the earlier in the lower half.
using Pair = std::uint32_t;
static_assert(lanes<Pair> == lanes<float>);

#if defined(__AVX512BF16__) && defined(__AVX512BW__)
inline constexpr bool multiplies_pairs = true;
#else
inline constexpr bool multiplies_pairs = false;
#endif

// What an operand's products are summed in, and how many steps along k it holds: a number one, a pair two.
template <class O> using SumOf = std::conditional_t<std::is_same_v<O, Pair>, float, O>;
template <class O> constexpr int depth_of = std::is_same_v<O, Pair> ? 2 : 1;

// use(O{}) with the operands that products of T are made of.
template <class T, class F> void with_operands(Arithmetic arithmetic, F use) {
  if constexpr (std::is_same_v<T, bf16>) {
    use(Pair{});
  } else {
    if constexpr (std::is_same_v<T, float>)
      if (arithmetic == Arithmetic::bf16)
        return use(Pair{});
    use(T{});
  }
}

// sum + b.high·a.high, + a.low·b.low.
inline Floats multiply_add(Words a, Words b, Floats sum) {
#if defined(__AVX512BF16__) && defined(__AVX512BW__)
  return Floats(_mm512_dpbf16_ps(__m512(sum), __m512bh(a), __m512bh(b)));
#else
  const auto low = [](Words x) { return std::bit_cast<Floats>(x << 16); };
  const auto high = [](Words x) { return std::bit_cast<Floats>(x & 0xFFFF0000u); };
  return multiply_add(low(a), low(b), multiply_add(high(a), high(b), sum));
#endif
}

// Lane by lane the pair of `low` and `high`.
inline Words pairs(Floats low, Floats high) {
#if defined(__AVX512BF16__) && defined(__AVX512BW__)
  const __m512i order =
      _mm512_set_epi32(0x1F000F, 0x1E000E, 0x1D000D, 0x1C000C, 0x1B000B, 0x1A000A, 0x190009, 0x180008, 0x170007,
                       0x160006, 0x150005, 0x140004, 0x130003, 0x120002, 0x110001, 0x100000);
  return Words(_mm512_permutexvar_epi16(order, __m512i(_mm512_cvtne2ps_pbh(__m512(high), __m512(low)))));
#else
  return rounded_above(low) >> 16 | rounded_above(high);
#endif
}

// The pairs of neighbours: of the numbers of `first`, then of those of `second`.
inline Words neighbours(Floats first, Floats second) {
#if defined(__AVX512BF16__) && defined(__AVX512BW__)
  return Words(_mm512_cvtne2ps_pbh(__m512(second), __m512(first)));
#else
  const auto even = 2 * counting<Integers<Floats>>();
  return pairs(__builtin_shuffle(first, second, even), __builtin_shuffle(first, second, even + 1));
#endif
}

// One step of an operand O for neighbouring columns: numbers as they are, or pairs of those of a row and the next,
// null where there is none. The first `count` lanes; others are zero.
template <class O, class S> inline Pack<O> load_step(const S *row, const S *next, int count) {
  if constexpr (!std::is_same_v<O, Pair>)
    return load_wide<Pack<O>>(row, count);
  else
    return pairs(load_wide<Floats>(row, count), next ? load_wide<Floats>(next, count) : Floats{});
}

// Steps along a row: as many as there are lanes, of `count` numbers that are there; others are zero.
template <class O, class S> inline Pack<O> load_steps(const S *from, int count) {
  constexpr int L = lanes<O>;
  if constexpr (!std::is_same_v<O, Pair>) {
    return load_wide<Pack<O>>(from, count);
  } else if constexpr (std::is_same_v<S, bf16>) {
    Words words{};
    if (count >= 2 * L)
      std::memcpy(&words, from, sizeof words);
    else
      std::memcpy(&words, from, std::size_t(count) * sizeof(bf16));
    return words;
  } else {
    return neighbours(load_wide<Floats>(from, count), count > L ? load_wide<Floats>(from + L, count - L) : Floats{});
  }
}

// A step of one column alone.
template <class O, class S> inline O step_of(const S *at, std::ptrdiff_t next, bool has_next) {
  if constexpr (!std::is_same_v<O, Pair>)
    return widened(*at);
  else
    return pack_bf16(to_float(*at), has_next ? to_float(at[next]) : 0.0f);
}

} // namespace theta::simd
