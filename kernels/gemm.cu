#include "gemm.h"
#include "tile_gemm.cuh"

namespace theta::cuda {

// One product through cuBLASLt, with the bias in its epilogue (gemm_cublaslt.cu). False where cuBLASLt has no algorithm
// for it; the tiled kernel then does the work.
// `bf16_tensors`: c, a and b are bf16, else float.
bool gemm_cublaslt(Stream &, void *c, const void *a, const void *b, const Gemm &, const float *bias, bool relu,
                   bool bf16_tensors);

namespace {

template <class T> struct DenseOperands {
  T *c;
  const T *left, *right;
  const float *bias;
  Gemm p;
  Activation act;
  int rows, columns, depth;

  __device__ float a(int i, int k) const {
    return to_float(left[p.transpose_a ? std::size_t(k) * p.row_a() + i : std::size_t(i) * p.row_a() + k]);
  }
  __device__ float b(int k, int j) const {
    return to_float(right[p.transpose_b ? std::size_t(j) * p.row_b() + k : std::size_t(k) * p.row_b() + j]);
  }
  __device__ void store(int i, int j, float sum) const {
    T &out = c[std::size_t(i) * p.row_c() + j];
    out = rounded<T>(activate(act, (p.accumulate ? to_float(out) + sum : sum) + (bias ? bias[j] : 0.0f)));
  }
};

template <class T>
__global__ void __launch_bounds__(tile_threads)
    gemm_kernel(T *c, const T *a, const T *b, Gemm p, const float *bias, Activation act) {
  const std::size_t i = blockIdx.y;
  const DenseOperands<T> operands{c + i * p.stride_c,
                                  a + i * p.stride_a,
                                  b + i * p.stride_b,
                                  bias ? bias + i * p.stride_bias : nullptr,
                                  p,
                                  act,
                                  p.m,
                                  p.n,
                                  p.k};
  const int across = (p.n + tile_side - 1) / tile_side;
  multiply_tile(operands, int(blockIdx.x) / across, int(blockIdx.x) % across);
}

template <class T>
void multiply(Stream &s, T *c, const T *a, const T *b, const Gemm &p, const float *bias, Activation act) {
#if !THETA_SIMT
  const bool in_epilogue = act == Activation::none || act == Activation::relu;
  if (p.batch == 1 && in_epilogue &&
      gemm_cublaslt(s, c, a, b, p, bias, act == Activation::relu, std::is_same_v<T, bf16>))
    return;
#endif
  for (int first = 0; first < p.batch; first += 65535) { // a grid's y side ends there
    Gemm part = p;
    part.batch = p.batch - first < 65535 ? p.batch - first : 65535;
    const std::size_t i = std::size_t(first);
    launch(gemm_kernel<T>, dim3(tiles_along(p.m) * tiles_along(p.n), unsigned(part.batch)), tile_threads,
           sizeof(GemmTiles), s, c + i * p.stride_c, a + i * p.stride_a, b + i * p.stride_b, part,
           bias ? bias + i * p.stride_bias : nullptr, act);
  }
}

} // namespace

void gemm(Stream &s, float *c, const float *a, const float *b, const Gemm &p, const float *bias, Activation act) {
  multiply(s, c, a, b, p, bias, act);
}
void gemm(Stream &s, bf16 *c, const bf16 *a, const bf16 *b, const Gemm &p, const float *bias, Activation act) {
  multiply(s, c, a, b, p, bias, act);
}

} // namespace theta::cuda
