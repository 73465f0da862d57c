#include "error.h"
#include <cstdio>

namespace theta {

TextPart::TextPart(Signed i) : own_(std::to_string(i.value)), text_(own_) {}
TextPart::TextPart(Unsigned i) : own_(std::to_string(i.value)), text_(own_) {}
TextPart::TextPart(Number f) {
  char digits[32];
  own_.assign(digits, std::size_t(std::snprintf(digits, sizeof digits, "%g", f.value)));
  text_ = own_;
}
TextPart::TextPart(Quoted path) : own_("\"") {
  for (const char c : path.value) {
    if (c == '"' || c == '\\')
      own_ += '\\';
    own_ += c;
  }
  own_ += '"', text_ = own_;
}

std::string joined(const TextPart *parts, std::size_t n) {
  std::string all;
  for (std::size_t i = 0; i < n; ++i)
    all += parts[i].view();
  return all;
}

std::string printable(std::string_view s) {
  std::string out;
  const auto hidden = [&](unsigned char c) {
    constexpr const char *digits = "0123456789abcdef";
    out += {'\\', 'x', digits[c >> 4], digits[c & 15]};
  };
  for (std::size_t i = 0; i < s.size(); ++i) {
    const auto c = static_cast<unsigned char>(s[i]);
    const bool c1 = c == 0xc2 && i + 1 < s.size() && (static_cast<unsigned char>(s[i + 1]) & 0xe0) == 0x80;
    if (c < 0x20 || c == 0x7f || c1)
      hidden(c);
    else
      out += s[i];
    if (c1)
      hidden(static_cast<unsigned char>(s[++i]));
  }
  return out;
}

} // namespace theta
