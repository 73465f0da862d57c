#include "gemm_cublaslt.h"
#include "kernels/parts/tile_gemm.cuh"

namespace theta::cuda {

namespace {

template <class T, class C> struct DenseOperands {
  C *c;
  const T *left, *right;
  const C *bias;
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
    C &out = c[std::size_t(i) * p.row_c() + j];
    out = rounded<C>(
        activate(act, (p.accumulate ? to_float(out) + sum : sum) + (bias ? to_float(bias[j]) : 0.0f), p.omega));
  }
};

template <class T, class C>
__global__ void __launch_bounds__(tile_threads)
    gemm_kernel(C *c, const T *a, const T *b, Gemm p, const C *bias, Activation act) {
  const std::size_t i = blockIdx.y;
  const DenseOperands<T, C> operands{c + i * p.stride_c,
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

template <class T> constexpr bool is_bf16 = std::is_same_v<T, bf16>;

template <class T, class C>
void multiply(Stream &s, C *c, const T *a, const T *b, const Gemm &p, const C *bias, Activation act) {
  const Epilogue end{act == Activation::relu ? Epilogue::Kind::relu : Epilogue::Kind::none, bias};
  if (p.batch == 1 && (act == Activation::none || act == Activation::relu) &&
      gemm_cublaslt(s, c, a, b, p, end, is_bf16<T>, is_bf16<C>))
    return;
  for (int first = 0; first < p.batch; first += 65535) { // a grid's y side ends there
    Gemm part = p;
    part.batch = p.batch - first < 65535 ? p.batch - first : 65535;
    const std::size_t i = std::size_t(first);
    launch(gemm_kernel<T, C>, dim3(tiles_along(p.m) * tiles_along(p.n), unsigned(part.batch)), tile_threads,
           sizeof(GemmTiles), s, c + i * p.stride_c, a + i * p.stride_a, b + i * p.stride_b, part,
           bias ? bias + i * p.stride_bias : nullptr, act);
  }
}

} // namespace

void gemm(Stream &s, float *c, const float *a, const float *b, const Gemm &p, const float *bias, Activation act) {
  multiply(s, c, a, b, p, bias, act);
}
void gemm(Stream &s, bf16 *c, const bf16 *a, const bf16 *b, const Gemm &p, const bf16 *bias, Activation act) {
  multiply(s, c, a, b, p, bias, act);
}
void gemm(Stream &s, float *c, const bf16 *a, const bf16 *b, const Gemm &p, const float *bias, Activation act) {
  multiply(s, c, a, b, p, bias, act);
}

// pre = a·b + bias, y = gelu(pre).
bool gemm_gelu(Stream &s, float *y, float *pre, const float *a, const float *b, const Gemm &p, const float *bias) {
  return gemm_cublaslt(s, y, a, b, p, {Epilogue::Kind::gelu, bias, pre}, false, false);
}
bool gemm_gelu(Stream &s, bf16 *y, bf16 *pre, const bf16 *a, const bf16 *b, const Gemm &p, const bf16 *bias) {
  return gemm_cublaslt(s, y, a, b, p, {Epilogue::Kind::gelu, bias, pre}, true, true);
}

// y = (a·b)·gelu'(pre).
bool gemm_gelu_slope(Stream &s, float *y, const float *a, const float *b, const float *pre, const Gemm &p) {
  return gemm_cublaslt(s, y, a, b, p, {Epilogue::Kind::gelu_slope, nullptr, nullptr, pre}, false, false);
}
bool gemm_gelu_slope(Stream &s, bf16 *y, const bf16 *a, const bf16 *b, const bf16 *pre, const Gemm &p) {
  return gemm_cublaslt(s, y, a, b, p, {Epilogue::Kind::gelu_slope, nullptr, nullptr, pre}, true, true);
}

} // namespace theta::cuda
