// Loads and stores of several neighbouring elements at once, as floats: 16 bytes an instruction where Width allows it.
// Addresses must be aligned to Width elements (to 16 bytes at most).
#pragma once
#include "kernels/device/bf16.h"
#include "kernels/device/launch.h"

namespace theta {

template <int Width> __device__ inline void load(float (&v)[Width], const float *from) {
  if constexpr (Width % 4 == 0) {
#pragma unroll
    for (int i = 0; i < Width; i += 4) {
      const float4 four = *reinterpret_cast<const float4 *>(from + i);
      v[i] = four.x, v[i + 1] = four.y, v[i + 2] = four.z, v[i + 3] = four.w;
    }
  } else {
#pragma unroll
    for (int i = 0; i < Width; ++i)
      v[i] = from[i];
  }
}

template <int Width> __device__ inline void store(float *to, const float (&v)[Width]) {
  if constexpr (Width % 4 == 0) {
#pragma unroll
    for (int i = 0; i < Width; i += 4)
      *reinterpret_cast<float4 *>(to + i) = make_float4(v[i], v[i + 1], v[i + 2], v[i + 3]);
  } else {
#pragma unroll
    for (int i = 0; i < Width; ++i)
      to[i] = v[i];
  }
}

template <int Width> __device__ inline void load(float (&v)[Width], const bf16 *from) {
  if constexpr (Width == 8) {
    const uint4 words = *reinterpret_cast<const uint4 *>(from);
    const std::uint32_t pairs[4] = {words.x, words.y, words.z, words.w};
#pragma unroll
    for (int i = 0; i < 4; ++i)
      v[2 * i] = __uint_as_float(pairs[i] << 16), v[2 * i + 1] = __uint_as_float(pairs[i] & 0xFFFF0000u);
  } else if constexpr (Width == 4) {
    const uint2 words = *reinterpret_cast<const uint2 *>(from);
    v[0] = __uint_as_float(words.x << 16), v[1] = __uint_as_float(words.x & 0xFFFF0000u);
    v[2] = __uint_as_float(words.y << 16), v[3] = __uint_as_float(words.y & 0xFFFF0000u);
  } else {
#pragma unroll
    for (int i = 0; i < Width; ++i)
      v[i] = to_float(from[i]);
  }
}

template <int Width> __device__ inline void store(bf16 *to, const float (&v)[Width]) {
  if constexpr (Width == 8) {
    *reinterpret_cast<uint4 *>(to) =
        make_uint4(pack_bf16(v[0], v[1]), pack_bf16(v[2], v[3]), pack_bf16(v[4], v[5]), pack_bf16(v[6], v[7]));
  } else if constexpr (Width == 4) {
    *reinterpret_cast<uint2 *>(to) = make_uint2(pack_bf16(v[0], v[1]), pack_bf16(v[2], v[3]));
  } else {
#pragma unroll
    for (int i = 0; i < Width; ++i)
      to[i] = to_bf16(v[i]);
  }
}

// True where every pointer is a multiple of 16 bytes (null counts).
template <class... P> bool aligned16(const P *...pointers) {
  return ((reinterpret_cast<std::uintptr_t>(pointers) | ...) & 15) == 0;
}

} // namespace theta
