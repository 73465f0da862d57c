// One matrix product through cuBLASLt (gemm_cublaslt.cu). The emulator has none: there the tiled kernel does the work.
#pragma once
#include "gemm.h"

namespace theta::cuda {

// What happens to a sum before it is written: a bias [n], of the result's type, or null, and
//   relu         D = max(0, sum + bias)
//   gelu         pre = sum + bias, D = gelu_tanh(pre)
//   gelu_slope   D = sum·gelu_tanh'(past)
// pre, written, and past, read: [m, n], of the result's type and dense.
struct Epilogue {
  enum class Kind { none, relu, gelu, gelu_slope } kind = Kind::none;
  const void *bias = nullptr;
  void *pre = nullptr;
  const void *past = nullptr; // pre of the forward pass
  const void *beside() const { return pre ? pre : past; }
};

// False where cuBLASLt has no algorithm for it. Operands are bf16, or float, and so is the result.
#if THETA_SIMT
inline bool gemm_cublaslt(Stream &, void *, const void *, const void *, const Gemm &, const Epilogue &, bool, bool) {
  return false;
}
#else
bool gemm_cublaslt(Stream &, void *c, const void *a, const void *b, const Gemm &, const Epilogue &, bool bf16_operands,
                   bool bf16_result);
#endif

} // namespace theta::cuda
