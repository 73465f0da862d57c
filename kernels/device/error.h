// Errors carry one clear line: what went wrong, where, what was found and what was expected.
#pragma once
#include <sstream>
#include <stdexcept>
#include <string>

namespace theta {

// text("shape ", 3, " != ", 4): the arguments, streamed one after another.
template <class... A> std::string text(const A &...parts) {
  std::ostringstream out;
  (out << ... << parts);
  return out.str();
}

// Something failed while working. The program ends with status 1.
struct Error : std::runtime_error {
  template <class... A> explicit Error(const A &...parts) : std::runtime_error(text(parts...)) {}
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
