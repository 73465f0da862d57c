// Which test examples a network gets wrong, as bits, and what follows from them by counting: accuracy, and the IoU of
// two networks' mistakes (the similarity measure of p-diff).
#pragma once
#include "kernels/device/device.h"
#include <cstdint>

namespace theta {

// 32-bit words that hold one bit for each of n examples.
inline std::size_t mask_words(std::size_t n) { return (n + 31) / 32; }

// Bit r % 32 of mask[k, first_row/32 + r/32] says that network k is wrong on row r: the largest logit (the first of
// equals; none, if one is NaN) is not the label's. first_row is a multiple of 32; bits past `rows` are 0.
//   logits [networks, rows, classes]; label [rows]; mask [networks, words].
// Bytes: networks·rows·classes·4. One thread a row, one warp a word.
void wrong_masks(Stream &, std::uint32_t *mask, const float *logits, const std::uint8_t *label, int networks, int rows,
                 int classes, int first_row, std::size_t words);

// count[k] = number of bits set in mask[k, :].   Bytes: networks·words·4. One warp a network.
void count_bits(Stream &, std::int32_t *count, const std::uint32_t *mask, int networks, std::size_t words);

// iou[i, j] = |a_i ∩ b_j| / |a_i ∪ b_j|, 1 where both are empty.   a [na, words], b [nb, words], iou [na, nb].
// Bytes: (na + nb)·words·4 at least, from L2 na·nb·words·8. One warp a pair.
void iou_matrix(Stream &, float *iou, const std::uint32_t *a, const std::uint32_t *b, int na, int nb,
                std::size_t words);

} // namespace theta
