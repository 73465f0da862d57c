#include "gemm.h"
#include "tile_gemm.cuh"

namespace theta::cuda {

// One product through cuBLASLt, with the bias in its epilogue (gemm_cublaslt.cu). False where cuBLASLt has no algorithm
// for it; the tiled kernel then does the work.
bool gemm_cublaslt(Stream &, float *c, const float *a, const float *b, const Gemm &, const float *bias, bool relu);

namespace {

struct DenseOperands {
  float *c;
  const float *left, *right, *bias;
  Gemm p;
  Activation act;
  int rows, columns, depth;

  __device__ float a(int i, int k) const {
    return left[p.transpose_a ? std::size_t(k) * p.row_a() + i : std::size_t(i) * p.row_a() + k];
  }
  __device__ float b(int k, int j) const {
    return right[p.transpose_b ? std::size_t(j) * p.row_b() + k : std::size_t(k) * p.row_b() + j];
  }
  __device__ void store(int i, int j, float sum) const {
    float &out = c[std::size_t(i) * p.row_c() + j];
    out = activate(act, (p.accumulate ? out + sum : sum) + (bias ? bias[j] : 0.0f));
  }
};

__global__ void __launch_bounds__(tile_threads)
    gemm_kernel(float *c, const float *a, const float *b, Gemm p, const float *bias, Activation act) {
  const std::size_t i = blockIdx.y;
  const DenseOperands operands{c + i * p.stride_c,
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

} // namespace

void gemm(Stream &s, float *c, const float *a, const float *b, const Gemm &p, const float *bias, Activation act) {
#if !THETA_SIMT
  const bool in_epilogue = act == Activation::none || act == Activation::relu;
  if (p.batch == 1 && in_epilogue && gemm_cublaslt(s, c, a, b, p, bias, act == Activation::relu))
    return;
#endif
  for (int first = 0; first < p.batch; first += 65535) { // a grid's y side ends there
    Gemm part = p;
    part.batch = p.batch - first < 65535 ? p.batch - first : 65535;
    const std::size_t i = std::size_t(first);
    launch(gemm_kernel, dim3(tiles_along(p.m) * tiles_along(p.n), unsigned(part.batch)), tile_threads,
           sizeof(GemmTiles), s, c + i * p.stride_c, a + i * p.stride_a, b + i * p.stride_b, part,
           bias ? bias + i * p.stride_bias : nullptr, act);
  }
}

} // namespace theta::cuda
