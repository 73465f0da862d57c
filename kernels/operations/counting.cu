#include "counting.h"
#include "kernels/parts/warp.cuh"

namespace theta::cuda {

namespace {

constexpr unsigned warps = 8;

__global__ void wrong_masks_kernel(std::uint32_t *mask, const float *logits, const std::uint8_t *label, int rows,
                                   int classes, int first_row, std::size_t words) {
  const int row = int(blockIdx.x * blockDim.x + threadIdx.x);
  bool wrong = false;
  if (row < rows) {
    const float *x = logits + (std::size_t(blockIdx.y) * rows + row) * classes;
    int best = 0;
    for (int c = 0; c < classes; ++c) {
      wrong |= x[c] != x[c]; // NaN
      if (x[c] > x[best])
        best = c;
    }
    wrong |= best != label[row];
  }
  const unsigned word = __ballot_sync(~0u, wrong);
  if (threadIdx.x % 32 == 0 && row < rows)
    mask[blockIdx.y * words + std::size_t(first_row + row) / 32] = word;
}

__global__ void count_bits_kernel(std::int32_t *count, const std::uint32_t *mask, int networks, std::size_t words) {
  const int k = int(blockIdx.x * warps + threadIdx.y);
  if (k >= networks)
    return; // the whole warp
  int bits = 0;
  for (std::size_t w = threadIdx.x; w < words; w += 32)
    bits += __popc(mask[k * words + w]);
  bits = warp_reduce<Sum>(bits);
  if (threadIdx.x == 0)
    count[k] = bits;
}

__global__ void iou_kernel(float *iou, const std::uint32_t *a, const std::uint32_t *b, std::size_t pairs, int nb,
                           std::size_t words) {
  const std::size_t pair = std::size_t(blockIdx.x) * warps + threadIdx.y;
  if (pair >= pairs)
    return; // the whole warp
  const std::uint32_t *left = a + pair / nb * words, *right = b + pair % nb * words;
  int both = 0, either = 0;
  for (std::size_t w = threadIdx.x; w < words; w += 32) {
    both += __popc(left[w] & right[w]);
    either += __popc(left[w] | right[w]);
  }
  both = warp_reduce<Sum>(both), either = warp_reduce<Sum>(either);
  if (threadIdx.x == 0)
    iou[pair] = either ? float(both) / float(either) : 1.0f;
}

} // namespace

void wrong_masks(Stream &s, std::uint32_t *mask, const float *logits, const std::uint8_t *label, int networks, int rows,
                 int classes, int first_row, std::size_t words) {
  launch(wrong_masks_kernel, dim3(blocks_for(std::size_t(rows), 256), unsigned(networks)), 256, 0, s, mask, logits,
         label, rows, classes, first_row, words);
}

void count_bits(Stream &s, std::int32_t *count, const std::uint32_t *mask, int networks, std::size_t words) {
  launch(count_bits_kernel, blocks_for(std::size_t(networks), warps), dim3(32, warps), 0, s, count, mask, networks,
         words);
}

void iou_matrix(Stream &s, float *iou, const std::uint32_t *a, const std::uint32_t *b, int na, int nb,
                std::size_t words) {
  const std::size_t pairs = std::size_t(na) * nb;
  launch(iou_kernel, blocks_for(pairs, warps), dim3(32, warps), 0, s, iou, a, b, pairs, nb, words);
}

} // namespace theta::cuda
