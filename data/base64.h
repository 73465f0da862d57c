// Bytes as text (RFC 4648, section 4).
#pragma once
#include <string>
#include <string_view>

namespace theta {

inline std::string base64(std::string_view bytes) {
  constexpr char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const auto byte = [&](std::size_t at) { return at < bytes.size() ? static_cast<unsigned char>(bytes[at]) : 0u; };
    const unsigned three = byte(i) << 16 | byte(i + 1) << 8 | byte(i + 2);
    for (int d = 0; d < 4; ++d)
      text += std::size_t(d) <= bytes.size() - i ? digits[three >> (18 - 6 * d) & 63] : '=';
  }
  return text;
}

} // namespace theta
