// Runs the real kernels (kernels/*.cu, compiled unchanged by g++) on a CPU: one fiber per CUDA thread of a block,
// blocks one after another. Barriers and warp collectives are fiber switches. Stands in for the CUDA headers in
// launch.h.
//
// What it finds that a GPU hides: barriers and collectives that not all threads reach (reported with kernel, block and
// thread, instead of hanging); reads and writes past the end of a buffer or of shared memory (each its own allocation,
// under AddressSanitizer); reads of shared memory that nothing wrote (filled with NaN before each block); missing
// barriers (threads run in another random order after each barrier).
#pragma once
#include "kernels/device.h"
#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include <source_location>

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)

struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};
struct alignas(16) float4 {
  float x, y, z, w;
};
struct alignas(16) uint4 {
  std::uint32_t x, y, z, w;
};
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }

namespace simt {

struct Thread {
  dim3 index;
  unsigned warp, lane;
};

extern const Thread *current;
extern dim3 block_index, block_size, grid_size;
extern std::byte *shared_bytes;

// Waits until every thread of the block is here.
void barrier();

// Waits until every lane of `mask` is here, then returns what the 32 lanes brought (8 bytes each; lanes outside the
// mask hold garbage). Valid until this thread's next collective.
const std::uint64_t *exchange(unsigned mask, std::uint64_t value);

// Runs `body` for every thread of every block. `kernel` is where it was launched, for reports. Throws theta::Error when
// threads of a block wait for one another for ever.
void run(const std::source_location &kernel, dim3 grid, dim3 block, std::size_t shared,
         const std::function<void()> &body);

// Threads run in an order drawn from this seed.
void set_schedule(std::uint64_t seed);

template <class T> std::uint64_t pack(T value) {
  static_assert(sizeof(T) <= 8);
  std::uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof value);
  return bits;
}
template <class T> T unpack(std::uint64_t bits) {
  T value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

} // namespace simt

#define threadIdx (simt::current->index)
#define blockIdx simt::block_index
#define blockDim simt::block_size
#define gridDim simt::grid_size

inline void __syncthreads() { simt::barrier(); }
inline void __syncwarp(unsigned mask = ~0u) { simt::exchange(mask, 0); }
template <class T> T __shfl_sync(unsigned mask, T value, int lane) {
  return simt::unpack<T>(simt::exchange(mask, simt::pack(value))[lane & 31]);
}
template <class T> T __shfl_xor_sync(unsigned mask, T value, int lanes) {
  return simt::unpack<T>(simt::exchange(mask, simt::pack(value))[(simt::current->lane ^ unsigned(lanes)) & 31]);
}
template <class T> T __shfl_down_sync(unsigned mask, T value, unsigned lanes) {
  const unsigned from = simt::current->lane + lanes;
  return simt::unpack<T>(simt::exchange(mask, simt::pack(value))[from < 32 ? from : simt::current->lane]);
}
inline unsigned __ballot_sync(unsigned mask, bool vote) {
  const auto *votes = simt::exchange(mask, vote);
  unsigned result = 0;
  for (unsigned lane = 0; lane < 32; ++lane)
    if (mask >> lane & 1)
      result |= unsigned(votes[lane]) << lane;
  return result;
}
inline int __popc(unsigned x) { return __builtin_popcount(x); }

namespace theta {

template <class T> T &shared() { return *reinterpret_cast<T *>(simt::shared_bytes); }

// A grid that remembers who asked for it.
struct LaunchGrid {
  dim3 size;
  std::source_location where;
  LaunchGrid(unsigned blocks, std::source_location w = std::source_location::current()) : size(blocks), where(w) {}
  LaunchGrid(dim3 blocks, std::source_location w = std::source_location::current()) : size(blocks), where(w) {}
};

template <class... P, class... A>
void launch(void (*kernel)(P...), LaunchGrid grid, dim3 block, std::size_t shared_bytes, Stream &, A... arguments) {
  simt::run(grid.where, grid.size, block, shared_bytes, [&] { kernel(P(arguments)...); });
}

} // namespace theta
