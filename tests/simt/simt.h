// Runs the real kernels (kernels/*/*.cu, compiled unchanged by g++) on a CPU: one fiber per CUDA thread of a block,
// blocks one after another in random order. Barriers and warp collectives are fiber switches. Stands in for the CUDA
// headers in launch.h; memory.h says what is watched while a kernel runs.
#pragma once
#include "kernels/device/device.h"
#include "memory.h"
#include <cmath>
#include <cstdint>
#include <cstring>
#include <source_location>

#define __global__
#define __grid_constant__
#define __device__ __attribute__((always_inline)) // see memory.h: no code of a kernel is shared with the host's
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)

struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};
struct alignas(8) float2 {
  float x, y;
};
struct alignas(16) float4 {
  float x, y, z, w;
};
struct alignas(8) uint2 {
  std::uint32_t x, y;
};
struct alignas(16) uint4 {
  std::uint32_t x, y, z, w;
};
inline float2 make_float2(float x, float y) { return {x, y}; }
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
inline uint2 make_uint2(std::uint32_t x, std::uint32_t y) { return {x, y}; }
inline uint4 make_uint4(std::uint32_t x, std::uint32_t y, std::uint32_t z, std::uint32_t w) { return {x, y, z, w}; }

namespace simt {

struct Thread {
  dim3 index;
  unsigned number, warp, lane;
};

extern const Thread *current; // null outside kernels
extern dim3 block_index, block_size, grid_size;
extern std::byte *shared_bytes;

// Waits until every thread of the block is here.
void barrier();

// What each lane brought to a collective.
constexpr std::size_t most_brought = 48; // bytes a lane
struct Lanes {
  alignas(8) std::byte brought[32][most_brought];
  int readers;
  template <class T> T of(unsigned lane) const {
    T value;
    std::memcpy(&value, brought[lane], sizeof value);
    return value;
  }
};

// Waits until every lane of `mask` is in this `operation`, then returns what they brought (lanes outside the mask: all
// bits set). Valid until this thread's next collective.
const Lanes &exchange(const char *operation, unsigned mask, const void *mine, std::size_t bytes);

template <class T> const Lanes &exchange(const char *operation, unsigned mask, const T &mine) {
  static_assert(sizeof(T) <= most_brought);
  return exchange(operation, mask, &mine, sizeof mine);
}

// __syncwarp: as exchange, and orders the memory accesses of the lanes.
void warp_barrier(unsigned mask);

// A kernel by its code and by the line that launched it, for reports.
struct Launched {
  const void *kernel;
  std::source_location where;
};

// A call of the kernel: what to call, and with what. (A std::function would keep its captures on the heap.)
struct Body {
  void (*call)(const void *context);
  const void *context;
};

// Runs `body` for every thread of every block. Throws theta::Error with kernel, block and thread for whatever is wrong:
// accesses (memory.h), threads that wait for one another for ever, an impossible launch.
void run(const Launched &, dim3 grid, dim3 block, std::size_t shared, const Body &body);

// Blocks and threads run in orders drawn from this seed.
void set_schedule(std::uint64_t seed);

// Asynchronous copies into shared memory (cp.async): 16 bytes, of which the first `valid` are copied and the rest is
// zero. The destination holds nothing until this thread has waited for the copy's group.
void async_copy(void *shared, const void *global, unsigned valid);
void async_commit();
void async_wait(unsigned groups_left);

// D = A·B + C of mma.sync.m16n8k16 (bf16 operands as bits, fp32 sums), collectively by a warp.
void mma_m16n8k16(float (&d)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2]);

// ldmatrix.x4: each lane gives the address of 16 bytes of shared memory, a row of an 8x8 matrix of 2-byte elements.
void load_matrices(std::uint32_t (&r)[4], const void *row, bool transposed);

} // namespace simt

#define threadIdx (simt::current->index)
#define blockIdx simt::block_index
#define blockDim simt::block_size
#define gridDim simt::grid_size

inline void __syncthreads() { simt::barrier(); }
inline void __syncwarp(unsigned mask = ~0u) { simt::warp_barrier(mask); }
template <class T> T __shfl_sync(unsigned mask, T value, int lane) {
  return simt::exchange("__shfl_sync", mask, value).template of<T>(unsigned(lane) & 31);
}
template <class T> T __shfl_xor_sync(unsigned mask, T value, int lanes) {
  return simt::exchange("__shfl_xor_sync", mask, value).template of<T>((simt::current->lane ^ unsigned(lanes)) & 31);
}
template <class T> T __shfl_down_sync(unsigned mask, T value, unsigned lanes) {
  const unsigned from = simt::current->lane + lanes;
  return simt::exchange("__shfl_down_sync", mask, value).template of<T>(from < 32 ? from : simt::current->lane);
}
template <class T> T __shfl_up_sync(unsigned mask, T value, unsigned lanes) {
  const unsigned lane = simt::current->lane;
  return simt::exchange("__shfl_up_sync", mask, value).template of<T>(lane >= lanes ? lane - lanes : lane);
}
inline unsigned __ballot_sync(unsigned mask, bool vote) {
  const simt::Lanes &votes = simt::exchange("__ballot_sync", mask, vote);
  unsigned result = 0;
  for (unsigned lane = 0; lane < 32; ++lane)
    if (mask >> lane & 1)
      result |= unsigned(votes.of<bool>(lane)) << lane;
  return result;
}
inline bool __any_sync(unsigned mask, bool vote) { return __ballot_sync(mask, vote) != 0; }
inline bool __all_sync(unsigned mask, bool vote) { return __ballot_sync(mask, vote) == mask; }
inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline float __uint_as_float(unsigned x) { return std::bit_cast<float>(x); }
inline unsigned __float_as_uint(float x) { return std::bit_cast<unsigned>(x); }

// Atomics: the emulator runs one thread at a time, so a plain update is one; the watcher is told that it is atomic.
template <class T, class F> T simt_atomic(T *at, F update) {
  T old, next;
  simt::before_atomic(at, sizeof(T));
  simt::raw_copy(&old, at, sizeof(T));
  next = update(old);
  simt::raw_copy(at, &next, sizeof(T));
  return old;
}
template <class T> T atomicAdd(T *at, std::type_identity_t<T> x) {
  return simt_atomic(at, [x](T old) { return T(old + x); });
}
template <class T> T atomicMax(T *at, std::type_identity_t<T> x) {
  return simt_atomic(at, [x](T old) { return old > x ? old : x; });
}
template <class T> T atomicExch(T *at, std::type_identity_t<T> x) {
  return simt_atomic(at, [x](T) { return x; });
}
template <class T> T atomicCAS(T *at, std::type_identity_t<T> expected, std::type_identity_t<T> x) {
  return simt_atomic(at, [expected, x](T old) { return old == expected ? x : old; });
}

namespace theta {

struct Stream::Cuda {
  void *workspace;
  static constexpr std::size_t workspace_bytes = std::size_t(1) << 20;
};

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
  const auto call = [&] { kernel(P(arguments)...); };
  simt::run({reinterpret_cast<const void *>(kernel), grid.where}, grid.size, block, shared_bytes,
            {[](const void *context) { (*static_cast<decltype(call) *>(context))(); }, &call});
}

} // namespace theta
