// One matrix product of fp32 or bf16 tensors through cuBLASLt, with what follows in its epilogue. cuBLASLt is
// column-major: our row-major C = op(A)·op(B) is its Cᵀ = op(B)ᵀ·op(A)ᵀ, so the operands change places and the bias
// runs along its rows.
#include "gemm_cublaslt.h"
#include "kernels/device/stream_cuda.h"
#include <map>

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

// Everything that a choice of algorithm depends on. Products of one shape come every step; cuBLASLt's search for an
// algorithm takes longer than small products, so it is made once a stream and shape.
struct Key {
  int m, n, k, row_a, row_b, row_c;
  bool transpose_a, transpose_b, accumulate, bias, bf16_products, bf16_operands, bf16_result;
  Epilogue::Kind epilogue;
  std::uint32_t align_a, align_b, align_c, align_bias, align_beside;
  auto operator<=>(const Key &) const = default;
};

struct Choice {
  Description product;
  Layout first, second, result;
  cublasLtMatmulAlgo_t algorithm{};
  bool found = false;
};

using Choices = std::map<Key, std::unique_ptr<Choice>>;

cublasLtEpilogue_t epilogue_of(const Key &key) {
  switch (key.epilogue) {
  case Epilogue::Kind::relu:
    return key.bias ? CUBLASLT_EPILOGUE_RELU_BIAS : CUBLASLT_EPILOGUE_RELU;
  case Epilogue::Kind::gelu:
    return CUBLASLT_EPILOGUE_GELU_AUX_BIAS;
  case Epilogue::Kind::gelu_slope:
    return CUBLASLT_EPILOGUE_DGELU;
  default:
    return key.bias ? CUBLASLT_EPILOGUE_BIAS : CUBLASLT_EPILOGUE_DEFAULT;
  }
}

void point(const Choice &choice, const Epilogue &end) {
  if (end.bias)
    set(choice.product, CUBLASLT_MATMUL_DESC_BIAS_POINTER, end.bias);
  if (end.beside())
    set(choice.product, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER, end.beside());
}

std::unique_ptr<Choice> choose(const Stream::Cuda &on, const Key &key, const Epilogue &end) {
  auto choice = std::make_unique<Choice>();
  check(cublasLtMatmulDescCreate(&choice->product.value,
                                 key.bf16_products ? CUBLAS_COMPUTE_32F_FAST_16BF : CUBLAS_COMPUTE_32F, CUDA_R_32F),
        "describe the product");
  set(choice->product, CUBLASLT_MATMUL_DESC_TRANSA, key.transpose_b ? CUBLAS_OP_T : CUBLAS_OP_N);
  set(choice->product, CUBLASLT_MATMUL_DESC_TRANSB, key.transpose_a ? CUBLAS_OP_T : CUBLAS_OP_N);
  const cudaDataType_t operand = key.bf16_operands ? CUDA_R_16BF : CUDA_R_32F;
  const cudaDataType_t result = key.bf16_result ? CUDA_R_16BF : CUDA_R_32F;
  set(choice->product, CUBLASLT_MATMUL_DESC_EPILOGUE, epilogue_of(key));
  set(choice->product, CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, result);
  if (key.epilogue == Epilogue::Kind::gelu || key.epilogue == Epilogue::Kind::gelu_slope)
    set(choice->product, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD, std::int64_t(key.n));
  point(*choice, end); // the search asks the addresses for their alignment
  const auto columns = [&](Layout &layout, cudaDataType_t type, int rows, int cols, int leading) {
    check(cublasLtMatrixLayoutCreate(&layout.value, type, std::uint64_t(rows), std::uint64_t(cols), leading),
          "describe a matrix");
  };
  columns(choice->first, operand, key.transpose_b ? key.k : key.n, key.transpose_b ? key.n : key.k, key.row_b);
  columns(choice->second, operand, key.transpose_a ? key.m : key.k, key.transpose_a ? key.k : key.m, key.row_a);
  columns(choice->result, result, key.n, key.m, key.row_c);

  Preference preference;
  check(cublasLtMatmulPreferenceCreate(&preference.value), "set a preference");
  const std::size_t workspace = Stream::Cuda::workspace_bytes;
  set(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, workspace);
  set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, key.align_b);
  set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, key.align_a);
  set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, key.align_c);
  set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, key.align_c);
  cublasLtMatmulHeuristicResult_t heuristic{};
  int found = 0;
  const auto status = cublasLtMatmulAlgoGetHeuristic(on.blas, choice->product.value, choice->first.value,
                                                     choice->second.value, choice->result.value, choice->result.value,
                                                     preference.value, 1, &heuristic, &found);
  if (status != CUBLAS_STATUS_NOT_SUPPORTED)
    check(status, "choose an algorithm");
  choice->found = status == CUBLAS_STATUS_SUCCESS && found > 0;
  choice->algorithm = heuristic.algo;
  return choice;
}

} // namespace

bool gemm_cublaslt(Stream &s, void *c, const void *a, const void *b, const Gemm &p, const Epilogue &end,
                   bool bf16_operands, bool bf16_result) {
  // What its epilogues read a bias, and read or write what is beside, by.
  if ((end.bias && alignment_of(end.bias) < 16) || (end.beside() && (alignment_of(end.beside()) < 16 || p.n % 8 != 0)))
    return false;
  Stream::Cuda &on = s.cuda();
  if (!on.blas_choices)
    on.blas_choices = std::make_shared<Choices>();
  const Key key{p.m,
                p.n,
                p.k,
                p.row_a(),
                p.row_b(),
                p.row_c(),
                p.transpose_a,
                p.transpose_b,
                p.accumulate,
                end.bias != nullptr,
                p.arithmetic == Arithmetic::bf16 && !bf16_operands,
                bf16_operands,
                bf16_result,
                end.kind,
                alignment_of(a),
                alignment_of(b),
                alignment_of(c),
                alignment_of(end.bias),
                alignment_of(end.beside())};
  auto &choice = (*std::static_pointer_cast<Choices>(on.blas_choices))[key];
  if (!choice)
    choice = choose(on, key, end);
  if (!choice->found)
    return false;
  point(*choice, end);
  const float alpha = 1, beta = p.accumulate ? 1 : 0;
  check(cublasLtMatmul(on.blas, choice->product.value, &alpha, b, choice->first.value, a, choice->second.value, &beta,
                       c, choice->result.value, c, choice->result.value, &choice->algorithm, on.workspace,
                       Stream::Cuda::workspace_bytes, on.stream),
        "multiply");
  return true;
}

} // namespace theta::cuda
