// Enumerations whose values have names: names[i] is the name of E(i).
#pragma once
#include "error.h"
#include <array>
#include <string_view>

namespace theta {

// The value of that name. Throws InputError, with all names, for another; `what` says what was asked for.
template <class E, std::size_t N>
E value_named(std::string_view name, const std::array<const char *, N> &names, const char *what) {
  std::string known;
  for (std::size_t i = 0; i < N; ++i) {
    if (name == names[i])
      return E(i);
    known += text(i == 0 ? "" : i + 1 == N ? " or " : ", ", names[i]);
  }
  throw InputError(what, ": found '", name, "', expected ", known);
}

} // namespace theta
