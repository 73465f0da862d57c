// The only way a kernel is started: launch(kernel, grid, block, shared_bytes, stream, arguments...).
// Under nvcc it is a real launch, checked; under tests/simt the same call runs the kernel on fibers.
//
// A kernel's shared memory is one struct whose fields say its layout: `auto &tile = shared<Tile>();` in the kernel,
// sizeof(Tile) at the launch.
#pragma once
#include "device.h"

#if THETA_SIMT
#include "simt.h"
#else
#include "stream_cuda.h"

namespace theta {

template <class T> __device__ inline T &shared() {
  extern __shared__ __align__(16) unsigned char theta_shared_bytes[];
  return *reinterpret_cast<T *>(theta_shared_bytes);
}

template <class... P, class... A>
void launch(void (*kernel)(P...), dim3 grid, dim3 block, std::size_t shared_bytes, Stream &s, A... arguments) {
  if (shared_bytes > (48u << 10))
    check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, int(shared_bytes)),
          "ask for more than 48 KiB of shared memory");
  kernel<<<grid, block, shared_bytes, s.cuda().stream>>>(P(arguments)...);
  check(cudaGetLastError(), "kernel launch");
}

} // namespace theta
#endif

namespace theta {

// n elements of the stream's own scratch memory: partial results that the next launch on the stream reads, and nothing
// later. Throws Error when that is more than it has.
template <class T> T *scratch(Stream &s, std::size_t n) {
  if (n * sizeof(T) > Stream::Cuda::workspace_bytes)
    throw Error("scratch: found ", n * sizeof(T), " bytes asked for, expected at most ", Stream::Cuda::workspace_bytes);
  return static_cast<T *>(s.cuda().workspace);
}

// Bytes of shared memory that a block may ask for: of the GPU that answers, and where none does, of a Hopper.
namespace cuda {
std::size_t most_shared_bytes();
}
inline constexpr std::size_t hopper_shared_bytes = 227 << 10;

// Blocks of `block` threads that cover n elements.
inline unsigned blocks_for(std::size_t n, unsigned block) { return unsigned((n + block - 1) / block); }

} // namespace theta
