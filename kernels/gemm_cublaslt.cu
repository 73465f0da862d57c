// One fp32 matrix product through cuBLASLt, with bias and relu in its epilogue. cuBLASLt is column-major: our row-major
// C = op(A)·op(B) is its Cᵀ = op(B)ᵀ·op(A)ᵀ, so the operands change places and the bias runs along its rows.
#include "gemm.h"
#include "stream_cuda.h"

namespace theta::cuda {

namespace {

void check(cublasStatus_t status, const char *what) {
  if (status != CUBLAS_STATUS_SUCCESS)
    throw Error("cuBLASLt: ", what, ": ", cublasLtGetStatusString(status));
}

template <auto Destroy, class T> struct Handle {
  T value{};
  Handle() = default;
  Handle(const Handle &) = delete;
  Handle &operator=(const Handle &) = delete;
  ~Handle() {
    if (value)
      Destroy(value);
  }
};
using Description = Handle<cublasLtMatmulDescDestroy, cublasLtMatmulDesc_t>;
using Layout = Handle<cublasLtMatrixLayoutDestroy, cublasLtMatrixLayout_t>;
using Preference = Handle<cublasLtMatmulPreferenceDestroy, cublasLtMatmulPreference_t>;

template <class T> void set(const Description &d, cublasLtMatmulDescAttributes_t what, T value) {
  check(cublasLtMatmulDescSetAttribute(d.value, what, &value, sizeof value), "describe the product");
}

// The largest power of two up to 256 that divides an address. cuBLASLt assumes 256 unless it is told; tensors inside a
// flat parameter vector are aligned to 4 alone.
std::uint32_t alignment_of(const void *pointer) {
  const auto address = reinterpret_cast<std::uintptr_t>(pointer) | 256;
  return std::uint32_t(address & (~address + 1));
}

void set(const Preference &p, cublasLtMatmulPreferenceAttributes_t what, const auto &value) {
  check(cublasLtMatmulPreferenceSetAttribute(p.value, what, &value, sizeof value), "set a preference");
}

} // namespace

bool gemm_cublaslt(Stream &s, float *c, const float *a, const float *b, const Gemm &p, const float *bias, bool relu) {
  if (bias && alignment_of(bias) < 16)
    return false; // what its epilogues read bias by
  Description product;
  check(cublasLtMatmulDescCreate(&product.value, CUBLAS_COMPUTE_32F, CUDA_R_32F), "describe the product");
  set(product, CUBLASLT_MATMUL_DESC_TRANSA, p.transpose_b ? CUBLAS_OP_T : CUBLAS_OP_N);
  set(product, CUBLASLT_MATMUL_DESC_TRANSB, p.transpose_a ? CUBLAS_OP_T : CUBLAS_OP_N);
  set(product, CUBLASLT_MATMUL_DESC_EPILOGUE,
      bias ? (relu ? CUBLASLT_EPILOGUE_RELU_BIAS : CUBLASLT_EPILOGUE_BIAS)
           : (relu ? CUBLASLT_EPILOGUE_RELU : CUBLASLT_EPILOGUE_DEFAULT));
  if (bias)
    set(product, CUBLASLT_MATMUL_DESC_BIAS_POINTER, bias);

  Layout first, second, result;
  const auto columns = [](Layout &layout, int rows, int cols, int leading) {
    check(cublasLtMatrixLayoutCreate(&layout.value, CUDA_R_32F, std::uint64_t(rows), std::uint64_t(cols), leading),
          "describe a matrix");
  };
  columns(first, p.transpose_b ? p.k : p.n, p.transpose_b ? p.n : p.k, p.row_b());
  columns(second, p.transpose_a ? p.m : p.k, p.transpose_a ? p.k : p.m, p.row_a());
  columns(result, p.n, p.m, p.row_c());

  Preference preference;
  check(cublasLtMatmulPreferenceCreate(&preference.value), "set a preference");
  const std::size_t workspace = Stream::Cuda::workspace_bytes;
  set(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, workspace);
  set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, alignment_of(b));
  set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, alignment_of(a));
  set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, alignment_of(c));
  set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, alignment_of(c));
  cublasLtMatmulHeuristicResult_t choice{};
  int found = 0;
  const Stream::Cuda &on = s.cuda();
  const auto status = cublasLtMatmulAlgoGetHeuristic(on.blas, product.value, first.value, second.value, result.value,
                                                     result.value, preference.value, 1, &choice, &found);
  if (status == CUBLAS_STATUS_NOT_SUPPORTED || (status == CUBLAS_STATUS_SUCCESS && found == 0))
    return false;
  check(status, "choose an algorithm");
  const float alpha = 1, beta = p.accumulate ? 1 : 0;
  check(cublasLtMatmul(on.blas, product.value, &alpha, b, first.value, a, second.value, &beta, c, result.value, c,
                       result.value, &choice.algo, on.workspace, workspace, on.stream),
        "multiply");
  return true;
}

} // namespace theta::cuda
