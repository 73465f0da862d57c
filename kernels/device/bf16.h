// bfloat16, the upper half of a float: what tensor cores multiply, and what large activations may be stored in.
#pragma once
#include "host_device.h"
#include <bit>
#include <cstdint>
#include <type_traits>

namespace theta {

struct bf16 {
  std::uint16_t bits;
};

THETA_HOST_DEVICE inline float to_float(float x) { return x; }
THETA_HOST_DEVICE inline float to_float(bf16 x) { return std::bit_cast<float>(std::uint32_t(x.bits) << 16); }

// The nearest bfloat16, ties to even; NaN stays NaN.
THETA_HOST_DEVICE inline bf16 to_bf16(float x) {
#if defined(__CUDA_ARCH__)
  std::uint16_t bits;
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(bits) : "f"(x));
  return {bits};
#else
  const auto bits = std::bit_cast<std::uint32_t>(x);
  if ((bits & 0x7FFFFFFFu) > 0x7F800000u)
    return {0x7FFF};
  return {std::uint16_t((bits + 0x7FFFu + (bits >> 16 & 1)) >> 16)};
#endif
}

// Two of them in one word, `low` in its lower half: how tensor cores take them.
THETA_HOST_DEVICE inline std::uint32_t pack_bf16(float low, float high) {
#if defined(__CUDA_ARCH__)
  std::uint32_t packed;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(packed) : "f"(high), "f"(low));
  return packed;
#else
  return to_bf16(low).bits | std::uint32_t(to_bf16(high).bits) << 16;
#endif
}

// What parameters and sums beside activations of type T are kept in.
template <class T> using Wide = std::conditional_t<std::is_same_v<T, double>, double, float>;

// From Wide<T> to T and back.
template <class T> THETA_HOST_DEVICE inline T rounded(Wide<T> x) { return x; }
template <> THETA_HOST_DEVICE inline bf16 rounded<bf16>(float x) { return to_bf16(x); }
THETA_HOST_DEVICE inline float widened(float x) { return x; }
THETA_HOST_DEVICE inline float widened(bf16 x) { return to_float(x); }
THETA_HOST_DEVICE inline double widened(double x) { return x; }

} // namespace theta
