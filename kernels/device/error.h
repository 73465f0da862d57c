// Errors carry one clear line: what went wrong, where, what was found and what was expected.
#pragma once
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>

namespace theta {

// text("shape ", 3, " != ", 4): the arguments, streamed one after another.
template <class... A> std::string text(const A &...parts) {
  std::ostringstream out;
  (out << ... << parts);
  return out.str();
}

// Bytes of files and arguments as a terminal may show them: control characters (C0, DEL, and C1 as UTF-8) as \\xNN,
// line breaks too, so that a message is one line.
inline std::string printable(std::string_view s) {
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

// Something failed while working. The program ends with status 1.
struct Error : std::runtime_error {
  template <class... A> explicit Error(const A &...parts) : std::runtime_error(printable(text(parts...))) {}
};

// The user's input (a file, a key, an argument) is at fault. The program ends with status 2.
struct InputError : Error {
  using Error::Error;
};

// The user asked to stop; everything worth keeping has been saved. The program ends with status 130.
struct Interrupted : Error {
  using Error::Error;
};

} // namespace theta
