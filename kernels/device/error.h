// Errors carry one clear line: what went wrong, where, what was found and what was expected.
#pragma once
#include <concepts>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>

namespace theta {

// One part of a text: characters, a number, or a path between quotation marks. It lives as long as what it was made of.
class TextPart {
public:
  TextPart(std::string_view s) : text_(s) {}
  TextPart(const std::string &s) : text_(s) {}
  TextPart(const char *s) : text_(s) {}
  TextPart(char c) : own_(1, c), text_(own_) {}
  template <std::signed_integral I> TextPart(I i) : TextPart(Signed{i}) {}
  template <std::unsigned_integral I> TextPart(I i) : TextPart(Unsigned{i}) {}
  template <std::floating_point F> TextPart(F f) : TextPart(Number{double(f)}) {} // six digits
  template <class Path>
  requires requires(const Path &p) { p.native(), p.filename(); }
  TextPart(const Path &p) : TextPart(Quoted{p.native()}) {}
  TextPart(const TextPart &) = delete;
  TextPart &operator=(const TextPart &) = delete;
  std::string_view view() const { return text_; }

private:
  struct Signed {
    std::int64_t value;
  };
  struct Unsigned {
    std::uint64_t value;
  };
  struct Number {
    double value;
  };
  struct Quoted {
    const std::string &value;
  };
  TextPart(Signed), TextPart(Unsigned), TextPart(Number), TextPart(Quoted);
  std::string own_;
  std::string_view text_;
};

std::string joined(const TextPart *parts, std::size_t n);

// text("shape ", 3, " != ", 4): the arguments, one after another.
template <class... A> std::string text(const A &...parts) {
  if constexpr (sizeof...(A) == 0) {
    return {};
  } else {
    const TextPart all[] = {parts...};
    return joined(all, sizeof...(A));
  }
}

// Bytes of files and arguments as a terminal may show them: control characters (C0, DEL, and C1 as UTF-8) as \\xNN,
// line breaks too, so that a message is one line.
std::string printable(std::string_view s);

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
