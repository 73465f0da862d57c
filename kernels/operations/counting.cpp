#include "counting.h"
#include "kernels/device/parallel.h"
#include <bit>
#include <cmath>

namespace theta {

namespace cuda {
decltype(theta::wrong_masks) wrong_masks;
decltype(theta::count_bits) count_bits;
decltype(theta::iou_matrix) iou_matrix;
} // namespace cuda

namespace {

bool is_wrong(const float *logits, int classes, int label) {
  int best = 0;
  for (int c = 0; c < classes; ++c) {
    if (std::isnan(logits[c]))
      return true;
    if (logits[c] > logits[best])
      best = c;
  }
  return best != label;
}

} // namespace

void wrong_masks(Stream &s, std::uint32_t *mask, const float *logits, const std::uint8_t *label, int networks, int rows,
                 int classes, int first_row, std::size_t words) {
  const Span span(s, "wrong_masks", 4.0 * networks * rows * classes);
  if constexpr (built_with_cuda)
    if (s.is_cuda())
      return cuda::wrong_masks(s, mask, logits, label, networks, rows, classes, first_row, words);
  parallel_for(networks, double(networks) * rows * classes, [&](int k) {
    for (int first = 0; first < rows; first += 32) {
      std::uint32_t word = 0;
      for (int r = first; r < rows && r < first + 32; ++r)
        word |= std::uint32_t(is_wrong(logits + (std::size_t(k) * rows + r) * classes, classes, label[r]))
                << (r - first);
      mask[k * words + std::size_t(first_row + first) / 32] = word;
    }
  });
}

void count_bits(Stream &s, std::int32_t *count, const std::uint32_t *mask, int networks, std::size_t words) {
  const Span span(s, "count_bits", 4.0 * networks * double(words));
  if constexpr (built_with_cuda)
    if (s.is_cuda())
      return cuda::count_bits(s, count, mask, networks, words);
  for (int k = 0; k < networks; ++k) {
    count[k] = 0;
    for (std::size_t w = 0; w < words; ++w)
      count[k] += std::popcount(mask[k * words + w]);
  }
}

void iou_matrix(Stream &s, float *iou, const std::uint32_t *a, const std::uint32_t *b, int na, int nb,
                std::size_t words) {
  const Span span(s, "iou_matrix", 4.0 * (na + nb) * double(words));
  if constexpr (built_with_cuda)
    if (s.is_cuda())
      return cuda::iou_matrix(s, iou, a, b, na, nb, words);
  parallel_for(na, nb, double(na) * nb * double(words), [&](int i, int j) {
    int both = 0, either = 0;
    for (std::size_t w = 0; w < words; ++w) {
      both += std::popcount(a[i * words + w] & b[j * words + w]);
      either += std::popcount(a[i * words + w] | b[j * words + w]);
    }
    iou[std::size_t(i) * nb + j] = either ? float(both) / float(either) : 1.0f;
  });
}

} // namespace theta
