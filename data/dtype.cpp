#include "dtype.h"
#include <array>
#include <bit>
#include <utility>

namespace theta {

namespace {
struct Facts {
  const char *name;
  std::size_t bytes;
};
constexpr std::array<Facts, 8> facts{
    {{"F32", 4}, {"F64", 8}, {"BF16", 2}, {"U8", 1}, {"U32", 4}, {"I32", 4}, {"I64", 8}, {"U64", 8}}};
} // namespace

std::size_t size_of(Dtype d) { return facts[std::size_t(d)].bytes; }
const char *name_of(Dtype d) { return facts[std::size_t(d)].name; }

bool dtype_named(std::string_view name, Dtype &dtype) {
  for (std::size_t i = 0; i < facts.size(); ++i)
    if (name == facts[i].name) {
      dtype = Dtype(i);
      return true;
    }
  return false;
}

std::uint16_t to_bf16(float x) {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  if ((bits & 0x7FFFFFFFu) > 0x7F800000u)
    return std::uint16_t(bits >> 16 | 0x40); // a NaN stays one
  return std::uint16_t((bits + 0x7FFFu + (bits >> 16 & 1)) >> 16);
}

float from_bf16(std::uint16_t x) { return std::bit_cast<float>(std::uint32_t(x) << 16); }

} // namespace theta
