// The memory of the emulated GPU, and the watch over it. Kernels are compiled with -fsanitize=thread, whose calls
// (__tsan_read4 and so on: one for every access) end here instead of in ThreadSanitizer's own runtime. Each access of a
// kernel is checked before it happens:
// - it lies wholly inside one device buffer or inside the block's shared memory, to the byte (never in host memory);
// - shared memory that is read has been written in this block;
// - no other thread has touched the same bytes (one of the two writing, not both atomic) without a barrier between the
//   two accesses: a __syncthreads for threads of a block, a __syncwarp for lanes of a warp, nothing for two blocks.
// Device buffers are poisoned for AddressSanitizer, so that host code that touches one is found as well.
//
// For this to see everything, no function that a kernel calls may be shared with host code (the linker would keep one
// of the two, compiled for AddressSanitizer, perhaps): __device__ and THETA_HOST_DEVICE functions are always inlined in
// the emulator's build.
#pragma once
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string>

namespace simt {

// There is one emulated GPU: a host thread holds this while it runs a kernel, makes a buffer or ends one.
std::recursive_mutex &machine();

// A device buffer of exactly `bytes`, filled with NaN. Addresses are never used twice. Throws theta::Error when there
// is no more.
void *allocate(std::size_t bytes);
void release(void *) noexcept;

// Copies and fills that may touch device and host memory alike: the emulated cudaMemcpy.
void raw_copy(void *to, const void *from, std::size_t bytes);
void raw_fill(void *to, int byte, std::size_t bytes);

// What an atomic operation calls first.
void before_atomic(void *at, std::size_t bytes);

// What the scheduler tells the watch. Times order accesses: they grow at every block, barrier and __syncwarp.
void launch_begins();
void block_begins(std::byte *shared, std::size_t bytes);
void block_passed_barrier();
void warp_synchronised(unsigned warp);

// An asynchronous copy's destination: written by this thread, yet not to be read before the copy is done.
void async_copy_began(void *shared, std::size_t bytes);

// Bytes that a collective reads or writes on behalf of the calling thread.
void before_read(const void *at, std::size_t bytes);
void before_write(void *at, std::size_t bytes);

// Shared memory has this many bytes before and after it that belong to nobody.
constexpr std::size_t shared_margin = 1 << 16;

// True for the stacks that threads of a block run on (simt.cpp).
bool on_fiber_stack(std::uintptr_t at);

// "file:line" of a code address, as well as the build's debug information knows it.
std::string place_of(const void *code);
// The function that begins at an address.
std::string function_at(const void *code);

// Ends the calling thread's kernel with this report (simt.cpp).
[[noreturn]] void fail(const std::string &what);

} // namespace simt
