// Asynchronous copies from global into shared memory (PTX cp.async): they pass no register, and a thread goes on while
// they are under way. A thread sees its own copies after async_wait, the others' after a barrier besides.
#pragma once
#include "kernels/device/launch.h"

namespace theta {

// 16 bytes, both ends aligned to 16; zeros where `inside` is false (then `global` is not read).
__device__ inline void async_copy16(void *shared, const void *global, bool inside = true) {
#if THETA_SIMT
  simt::async_copy(shared, global, inside ? 16 : 0);
#else
  const auto address = std::uint32_t(__cvta_generic_to_shared(shared));
  const int bytes = inside ? 16 : 0;
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(address), "l"(global), "r"(bytes) : "memory");
#endif
}

// Closes the group of copies started since the last call.
__device__ inline void async_commit() {
#if THETA_SIMT
  simt::async_commit();
#else
  asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}

// Waits until at most `GroupsLeft` of this thread's groups are under way.
template <int GroupsLeft> __device__ inline void async_wait() {
#if THETA_SIMT
  simt::async_wait(GroupsLeft);
#else
  asm volatile("cp.async.wait_group %0;" ::"n"(GroupsLeft) : "memory");
#endif
}

} // namespace theta
