// Learning rates over training.
#pragma once
#include <string_view>

namespace theta {

enum class LrKind { constant, cosine, step, one_cycle };
LrKind lr_kind_named(std::string_view name); // throws InputError
const char *name_of(LrKind);

// The factor on the base rate in step i = 0..steps−1. The first `warmup` steps rise to 1 in a line, (i + 1)/warmup;
// what follows is the schedule over the n steps that are left, j = 0..n−1 of them done:
//   constant   1
//   cosine     ½(1 + cos(π·j/n)), PyTorch's CosineAnnealingLR to 0
//   step       gamma^⌊j/every⌋
//   one_cycle  PyTorch's OneCycleLR with its defaults: from 1/25 up to 1 over 30 % of the steps, then down to
//   1/250,000,
//              both as half a cosine, the last step at the end
struct LrSchedule {
  LrKind kind = LrKind::constant;
  long steps = 1, every = 1000;
  double gamma = 0.1;
  long warmup = 0;
  double at(long step) const;
};

} // namespace theta
