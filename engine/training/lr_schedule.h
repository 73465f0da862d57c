// Learning rates over training.
#pragma once
#include <string_view>

namespace theta {

enum class LrKind { constant, cosine, step };
LrKind lr_kind_named(std::string_view name); // throws InputError
const char *name_of(LrKind);

// The factor on the base rate in step i = 0..steps−1: 1; ½(1 + cos(π·i/steps)) (PyTorch's CosineAnnealingLR to 0); or
// gamma^⌊i/every⌋.
struct LrSchedule {
  LrKind kind = LrKind::constant;
  long steps = 1, every = 1;
  double gamma = 0.1;
  double at(long step) const;
};

} // namespace theta
