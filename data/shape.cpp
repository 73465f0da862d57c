#include "shape.h"

namespace theta {

std::string text_of(const Shape &shape) {
  std::string out = "[";
  for (const auto side : shape)
    out += (out.size() > 1 ? ", " : "") + std::to_string(side);
  return out + "]";
}

} // namespace theta
