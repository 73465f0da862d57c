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
constexpr std::array<Facts, 15> facts{{{"F32", 4},
                                       {"F64", 8},
                                       {"BF16", 2},
                                       {"F16", 2},
                                       {"U8", 1},
                                       {"U32", 4},
                                       {"I32", 4},
                                       {"I64", 8},
                                       {"U64", 8},
                                       {"BOOL", 1},
                                       {"I8", 1},
                                       {"I16", 2},
                                       {"U16", 2},
                                       {"F8_E4M3", 1},
                                       {"F8_E5M2", 1}}};
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

} // namespace theta
