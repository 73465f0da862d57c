// AdamW's moments in a byte each, block by block (after Dettmers et al., "8-bit optimizers via block-wise
// quantization", 2022): a block of up to 256 elements of a row shares the size of its largest; between 0 and that,
// codes lie evenly in the fourth root, so that small elements keep their size beside large ones: of a ten-thousandth of
// the largest, to a sixth. A second moment, whose square root divides, is never rounded to 0 unless it is.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace theta {

enum class MomentStorage { fp32, bits8 };
MomentStorage moment_storage_named(std::string_view name); // "fp32" or "8bit"; throws InputError
const char *name_of(MomentStorage);

inline constexpr std::size_t moment_block = 256;

// One block of n elements to codes and the size of its largest, and back.
float encode_first(std::uint8_t *codes, const float *m, std::size_t n);
void decode_first(float *m, const std::uint8_t *codes, float largest, std::size_t n);
float encode_second(std::uint8_t *codes, const float *v, std::size_t n);
void decode_second(float *v, const std::uint8_t *codes, float largest, std::size_t n);

} // namespace theta
