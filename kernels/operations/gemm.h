// Matrix products: C = op(A)·op(B) + beta·C, plain, batched with strides, and with a bias and activation at the end.
#pragma once
#include "activation.h"
#include "kernels/device/arithmetic.h"
#include "kernels/device/bf16.h"
#include <type_traits>

namespace theta {

// All matrices are row-major. op(A) is [m, k] and op(B) is [k, n]; a transposed operand is stored [k, m] or [n, k].
// Leading dimensions are the distances between stored rows; 0 means dense. Matrix i of a batch starts at i·stride
// (a stride of 0 shares one matrix among all).
struct Gemm {
  int m, n, k;
  bool transpose_a = false, transpose_b = false;
  bool accumulate = false; // beta: false writes C, true adds into it
  int lda = 0, ldb = 0, ldc = 0;
  int batch = 1;
  std::size_t stride_a = 0, stride_b = 0, stride_c = 0, stride_bias = 0;
  Arithmetic arithmetic = Arithmetic::fp32; // on cuda of cuBLASLt's products; the tiled kernel is always fp32
  float omega = usual_omega;                // of sine

  THETA_HOST_DEVICE int row_a() const { return lda ? lda : transpose_a ? m : k; }
  THETA_HOST_DEVICE int row_b() const { return ldb ? ldb : transpose_b ? k : n; }
  THETA_HOST_DEVICE int row_c() const { return ldc ? ldc : n; }
};

// C = act(op(A)·op(B) + beta·C + bias), bias [n] or null, for each matrix of the batch.
// FLOPs: 2·batch·m·n·k. On cuda one matrix alone goes to cuBLASLt, a batch to a tiled kernel whose
// result for one matrix does not depend on how many are beside it. On the cpu tiles stay in registers (product.h);
// every sum goes along k in one chain (of bf16 in pairs: pairs.h), so that the result depends on neither tiles nor
// threads. T is float or bf16
// (sums in fp32), double on the cpu; C, of the result and the bias, is T, or float for bf16 operands.
template <class T, class C = T>
void gemm(Stream &, std::type_identity_t<C> *c, const T *a, const T *b, const Gemm &,
          const std::type_identity_t<C> *bias = nullptr, Activation act = Activation::none);

// y = x·wᵀ + b.   y [rows, out], x [rows, in], w [out, in], b [out] or null.
template <class T>
void linear_forward(Stream &s, T *y, const T *x, const T *w, const T *b, int rows, int in, int out,
                    Arithmetic arithmetic = Arithmetic::fp32) {
  gemm(s, y, x, w, {.m = rows, .n = out, .k = in, .transpose_b = true, .arithmetic = arithmetic}, b);
}

// dw += dyᵀ·x.
template <class T>
void linear_backward_weight(Stream &s, Wide<T> *dw, const T *dy, const T *x, int rows, int in, int out,
                            Arithmetic arithmetic = Arithmetic::fp32) {
  gemm<T, Wide<T>>(s, dw, dy, x,
                   {.m = out, .n = in, .k = rows, .transpose_a = true, .accumulate = true, .arithmetic = arithmetic});
}

// dx = dy·w, written, unless dx is null; dw += dyᵀ·x. The gradient of b is channel_sum's (reduce.h).
template <class T>
void linear_backward(Stream &s, T *dx, Wide<T> *dw, const T *dy, const T *x, const T *w, int rows, int in, int out,
                     Arithmetic arithmetic = Arithmetic::fp32) {
  if (dx)
    gemm(s, dx, dy, w, {.m = rows, .n = in, .k = out, .arithmetic = arithmetic});
  linear_backward_weight(s, dw, dy, x, rows, in, out, arithmetic);
}

// A linear layer with GELU (its tanh form) behind it: pre = x·wᵀ + b, y = gelu(pre), both written, b not null. On cuda
// in the product's epilogue where cuBLASLt has it: 2·rows·out elements written, and none read again.
template <class T>
void linear_gelu_forward(Stream &, T *y, T *pre, const T *x, const T *w, const T *b, int rows, int in, int out,
                         Arithmetic = Arithmetic::fp32);

// From the gradient dy [rows, out] of the layer after, whose weights are w [out, in], back through that product and the
// GELU before it: d_pre = (dy·w)·gelu'(pre), written, and db += Σ_rows d_pre.   d_pre, pre [rows, in]; db [in].
template <class T>
void linear_gelu_backward(Stream &, T *d_pre, Wide<T> *db, const T *dy, const T *w, const T *pre, int rows, int in,
                          int out, Arithmetic = Arithmetic::fp32);

} // namespace theta
