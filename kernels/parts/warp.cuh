// Sums and maxima across a warp and across a block, in one fixed order, so that they come out the same every time.
#pragma once
#include "kernels/device/launch.h"

namespace theta {

struct Sum {
  template <class T> __device__ T operator()(T a, T b) const { return a + b; }
};
struct Max {
  template <class T> __device__ T operator()(T a, T b) const { return a > b ? a : b; }
};

// The reduction over all 32 lanes, in every lane. All lanes must call it.
template <class Op, class T> __device__ inline T warp_reduce(T value, Op op = {}) {
  for (int distance = 16; distance > 0; distance /= 2)
    value = op(value, __shfl_xor_sync(~0u, value, distance));
  return value;
}

// The reduction over all threads of a block of whole warps, in every thread. `partial` is 32 elements of shared memory,
// free to use again when every thread has passed its next barrier.
template <class Op, class T> __device__ inline T block_reduce(T value, T *partial, Op op = {}) {
  const unsigned thread = threadIdx.x + blockDim.x * threadIdx.y, warps = blockDim.x * blockDim.y / 32;
  value = warp_reduce<Op>(value);
  if (thread % 32 == 0)
    partial[thread / 32] = value;
  __syncthreads();
  value = partial[0];
  for (unsigned w = 1; w < warps; ++w)
    value = op(value, partial[w]);
  __syncthreads();
  return value;
}

} // namespace theta
