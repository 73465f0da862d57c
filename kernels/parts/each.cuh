// Element-wise kernels: each(stream, n, f) runs f(i) for i = 0..n-1, one thread an element.
#pragma once
#include "kernels/device/launch.h"

namespace theta {

template <class F> __global__ void each_kernel(std::size_t n, F f) {
  const std::size_t i = std::size_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i < n)
    f(i);
}

template <class F> void each(Stream &s, std::size_t n, const F &f) {
  if (n > 0)
    launch(each_kernel<F>, blocks_for(n, 256), 256, 0, s, n, f);
}

} // namespace theta
