#include "conv1d.h"
#include "kernels/parts/parallel.h"
#define EIGEN_DONT_PARALLELIZE
#include <Eigen/Core>
#include <omp.h>

namespace theta {

namespace cuda {
decltype(theta::conv1d_forward<float>) conv1d_forward;
decltype(theta::conv1d_backward_data<float>) conv1d_backward_data;
decltype(theta::conv1d_backward_weight<float>) conv1d_backward_weight;
} // namespace cuda

namespace {

template <class T> using Matrix = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
template <class T> using Map = Eigen::Map<Matrix<T>, 0, Eigen::OuterStride<>>;
template <class T> using ConstMap = Eigen::Map<const Matrix<T>, 0, Eigen::OuterStride<>>;

template <class T> Map<T> matrix(T *data, int rows, int columns, int step) {
  return Map<T>(data, rows, columns, Eigen::OuterStride<>(step));
}
template <class T> ConstMap<T> matrix(const T *data, int rows, int columns, int step) {
  return ConstMap<T>(data, rows, columns, Eigen::OuterStride<>(step));
}

// Positions l of the output for which tap t reads inside the input: first <= l < last.
struct Range {
  int first, last;
};
Range inside(const Conv1d &p, int t) {
  const int shift = t - p.padding; // reads x[l·stride + shift]
  const int first = shift >= 0 ? 0 : (-shift + p.stride - 1) / p.stride;
  const int last = p.in_length - shift <= 0 ? 0 : (p.in_length - shift - 1) / p.stride + 1;
  return {std::min(first, p.out_length()), std::clamp(last, std::min(first, p.out_length()), p.out_length())};
}

// column[(i,t), l] = x[i, l·stride + t − padding], zero outside: `channels` of one sample unfolded.
template <class T> void unfold(T *column, const T *x, int channels, const Conv1d &p) {
  const int length = p.out_length();
  for (int i = 0; i < channels; ++i)
    for (int t = 0; t < p.kernel; ++t, column += length) {
      const auto [first, last] = inside(p, t);
      const T *from = x + std::ptrdiff_t(i) * p.in_length + t - p.padding;
      std::fill(column, column + first, T(0));
      if (p.stride == 1)
        std::copy(from + first, from + last, column + first);
      else
        for (int l = first; l < last; ++l)
          column[l] = from[std::ptrdiff_t(l) * p.stride];
      std::fill(column + last, column + length, T(0));
    }
}

// x[i, l·stride + t − padding] += column[(i,t), l]: the transpose of unfold.
template <class T> void fold_add(T *x, const T *column, const Conv1d &p) {
  const int length = p.out_length();
  for (int i = 0; i < p.in_channels; ++i)
    for (int t = 0; t < p.kernel; ++t, column += length) {
      const auto [first, last] = inside(p, t);
      T *to = x + std::ptrdiff_t(i) * p.in_length + t - p.padding;
      for (int l = first; l < last; ++l)
        to[std::ptrdiff_t(l) * p.stride] += column[l];
    }
}

std::size_t column_size(const Conv1d &p) { return std::size_t(p.in_channels) * p.kernel * p.out_length(); }

} // namespace

std::size_t conv1d_workspace(Backend backend, const Conv1d &p) {
  if constexpr (built_with_cuda)
    if (backend == Backend::cuda)
      return cuda::conv1d_workspace(p);
  return std::size_t(omp_get_max_threads()) * column_size(p);
}

template <class T>
void conv1d_forward(Stream &s, T *y, const T *x, const T *w, const T *bias, T *workspace, const Conv1d &p) {
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda())
      return cuda::conv1d_forward(s, y, x, w, bias, workspace, p);
  const int taps = p.in_channels * p.kernel, length = p.out_length();
#pragma omp parallel for if (worth_threads(double(p.y_size()) * p.in_channels))
  for (int n = 0; n < p.batch; ++n) {
    T *column = workspace + omp_get_thread_num() * column_size(p);
    unfold(column, x + std::size_t(n) * p.in_channels * p.in_length, p.in_channels, p);
    T *out = y + std::size_t(n) * p.out_channels * length;
    auto result = matrix(out, p.out_channels, length, length);
    result.noalias() = matrix(w, p.out_channels, taps, taps) * matrix<T>(column, taps, length, length);
    if (bias)
      result.colwise() += Eigen::Map<const Eigen::Matrix<T, Eigen::Dynamic, 1>>(bias, p.out_channels);
  }
}

template <class T>
void conv1d_backward_data(Stream &s, T *dx, const T *dy, const T *w, const T *bias, T *workspace, const Conv1d &p) {
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda())
      return cuda::conv1d_backward_data(s, dx, dy, w, bias, workspace, p);
  const int taps = p.in_channels * p.kernel, length = p.out_length();
#pragma omp parallel for if (worth_threads(double(p.y_size()) * p.in_channels))
  for (int n = 0; n < p.batch; ++n) {
    T *column = workspace + omp_get_thread_num() * column_size(p);
    matrix(column, taps, length, length).noalias() =
        matrix(w, p.out_channels, taps, taps).transpose() *
        matrix(dy + std::size_t(n) * p.out_channels * length, p.out_channels, length, length);
    T *out = dx + std::size_t(n) * p.in_channels * p.in_length;
    for (int i = 0; i < p.in_channels; ++i)
      std::fill_n(out + std::size_t(i) * p.in_length, p.in_length, bias ? bias[i] : T(0));
    fold_add(out, column, p);
  }
}

template <class T>
void conv1d_backward_weight(Stream &s, T *dw, const T *dy, const T *x, T *workspace, const Conv1d &p) {
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda())
      return cuda::conv1d_backward_weight(s, dw, dy, x, workspace, p);
  const int taps = p.in_channels * p.kernel, length = p.out_length();
  // Pieces of the input channels, each summed over the batch in order by one thread; where there are too few of them,
  // pieces of the output channels as well.
  const int in_pieces = std::min(p.in_channels, 8), out_pieces = in_pieces < 4 ? std::min(p.out_channels, 4) : 1;
#pragma omp parallel for collapse(2) if (worth_threads(double(p.y_size()) * p.in_channels))
  for (int i = 0; i < in_pieces; ++i)
    for (int o = 0; o < out_pieces; ++o) {
      const int in_first = p.in_channels * i / in_pieces, in_count = p.in_channels * (i + 1) / in_pieces - in_first;
      const int out_first = p.out_channels * o / out_pieces,
                out_count = p.out_channels * (o + 1) / out_pieces - out_first;
      T *column = workspace + omp_get_thread_num() * column_size(p);
      auto result =
          matrix(dw + std::size_t(out_first) * taps + in_first * p.kernel, out_count, in_count * p.kernel, taps);
      for (int n = 0; n < p.batch; ++n) {
        unfold(column, x + (std::size_t(n) * p.in_channels + in_first) * p.in_length, in_count, p);
        const T *d = dy + (std::size_t(n) * p.out_channels + out_first) * length;
        result.noalias() +=
            matrix(d, out_count, length, length) * matrix<T>(column, in_count * p.kernel, length, length).transpose();
      }
    }
}

#define THETA_INSTANTIATE(T)                                                                                           \
  template void conv1d_forward(Stream &, T *, const T *, const T *, const T *, T *, const Conv1d &);                   \
  template void conv1d_backward_data(Stream &, T *, const T *, const T *, const T *, T *, const Conv1d &);             \
  template void conv1d_backward_weight(Stream &, T *, const T *, const T *, T *, const Conv1d &);
THETA_INSTANTIATE(float)
THETA_INSTANTIATE(double)

} // namespace theta
