#include "row_l2.h"
#include "gemm.h"
#include "kernels/device/parallel.h"
#include <algorithm>

namespace theta {

namespace cuda {
void row_squares(Stream &, float *out, const float *x, int rows, std::size_t cols);
void combine_l2(Stream &, float *d, const float *squares_a, const float *squares_b, int na, int nb);
} // namespace cuda

namespace {

void row_squares(Stream &s, float *out, const float *x, int rows, std::size_t cols) {
  if constexpr (built_with_cuda)
    if (s.is_cuda())
      return cuda::row_squares(s, out, x, rows, cols);
  parallel_for(rows, rows * double(cols), [&](int r) {
    double sum = 0;
    for (std::size_t c = 0; c < cols; ++c)
      sum += double(x[r * cols + c]) * x[r * cols + c];
    out[r] = float(sum);
  });
}

void combine_l2(Stream &s, float *d, const float *squares_a, const float *squares_b, int na, int nb) {
  if constexpr (built_with_cuda)
    if (s.is_cuda())
      return cuda::combine_l2(s, d, squares_a, squares_b, na, nb);
  for (int i = 0; i < na; ++i)
    for (int j = 0; j < nb; ++j) {
      float &out = d[std::size_t(i) * nb + j];
      out = root_of_difference(squares_a[i] + squares_b[j] - 2 * out);
    }
}

} // namespace

void row_l2(Stream &s, float *d, const float *a, const float *b, int na, int nb, std::size_t cols, float *workspace) {
  const Span span(s, "row_l2", double(na + nb) * double(cols) * sizeof(float), 2.0 * na * nb * double(cols));
  gemm(s, d, a, b, {.m = na, .n = nb, .k = int(cols), .transpose_b = true});
  row_squares(s, workspace, a, na, cols);
  row_squares(s, workspace + na, b, nb, cols);
  combine_l2(s, d, workspace, workspace + na, na, nb);
}

} // namespace theta
