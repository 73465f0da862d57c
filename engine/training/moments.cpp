#include "moments.h"
#include "kernels/device/names.h"
#include <algorithm>
#include <array>
#include <cmath>

namespace theta {

namespace {

constexpr std::array storage_names{"fp32", "8bit"};
constexpr float signed_codes = 127, codes = 255;

float largest_of(const float *x, std::size_t n) {
  float largest = 0;
  for (std::size_t i = 0; i < n; ++i)
    largest = std::max(largest, std::abs(x[i]));
  return largest;
}

} // namespace

MomentStorage moment_storage_named(std::string_view name) {
  return value_named<MomentStorage>(name, storage_names, "moments");
}
const char *name_of(MomentStorage storage) { return storage_names[std::size_t(storage)]; }

float encode_first(std::uint8_t *to, const float *m, std::size_t n) {
  const float largest = largest_of(m, n), scale = largest > 0 ? 1 / largest : 0;
  for (std::size_t i = 0; i < n; ++i) {
    const float code = std::round(signed_codes * std::sqrt(std::sqrt(std::abs(m[i]) * scale)));
    to[i] = std::uint8_t(signed_codes + (m[i] < 0 ? -code : code));
  }
  return largest;
}

void decode_first(float *m, const std::uint8_t *from, float largest, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) {
    const float root = (float(from[i]) - signed_codes) / signed_codes;
    m[i] = root * std::abs(root * root * root) * largest;
  }
}

float encode_second(std::uint8_t *to, const float *v, std::size_t n) {
  const float largest = largest_of(v, n), scale = largest > 0 ? 1 / largest : 0;
  for (std::size_t i = 0; i < n; ++i) {
    const float code = std::round(codes * std::sqrt(std::sqrt(v[i] * scale)));
    to[i] = std::uint8_t(v[i] > 0 ? std::max(code, 1.0f) : 0.0f);
  }
  return largest;
}

void decode_second(float *v, const std::uint8_t *from, float largest, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) {
    const float root = float(from[i]) / codes, square = root * root;
    v[i] = square * square * largest;
  }
}

} // namespace theta
