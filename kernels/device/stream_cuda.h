// What a cuda Stream is made of. Included by device.cu, launch.h and the cuBLASLt calls alone.
#pragma once
#include "device.h"
#include <cublasLt.h>
#include <cuda_runtime.h>

namespace theta {

struct Stream::Cuda {
  int device = 0;
  cudaStream_t stream = nullptr;
  cublasLtHandle_t blas = nullptr;
  void *workspace = nullptr;          // for cuBLASLt and scratch()
  std::shared_ptr<void> blas_choices; // gemm_cublaslt.cu's
  static constexpr std::size_t workspace_bytes = std::size_t(32) << 20;
};

inline void check(cudaError_t status, const char *what) {
  if (status != cudaSuccess)
    throw Error("cuda: ", what, ": ", cudaGetErrorString(status));
}

} // namespace theta
