#include "lr_schedule.h"
#include "kernels/device/names.h"
#include <cmath>
#include <numbers>

namespace theta {

namespace {
constexpr std::array lr_names{"constant", "cosine", "step", "one_cycle"};
}

LrKind lr_kind_named(std::string_view name) { return value_named<LrKind>(name, lr_names, "schedule"); }
const char *name_of(LrKind kind) { return lr_names[std::size_t(kind)]; }

namespace {

// From `first` to `last` along half a cosine.
double half_cosine(double first, double last, double share) {
  return last + (first - last) / 2 * (1 + std::cos(std::numbers::pi * share));
}

double one_cycle(double step, double steps) {
  const double top = 0.3 * steps - 1, end = steps - 1, first = 1 / 25.0, last = first / 1e4;
  if (top > 0 && step <= top)
    return half_cosine(first, 1, step / top);
  return half_cosine(1, last, (step - top) / (end - top));
}

} // namespace

double LrSchedule::at(long step) const {
  if (step < warmup)
    return double(step + 1) / double(warmup);
  const long done = step - warmup, left = steps - warmup;
  switch (kind) {
  case LrKind::cosine:
    return 0.5 * (1 + std::cos(std::numbers::pi * double(done) / double(left)));
  case LrKind::step:
    return std::pow(gamma, double(done / every));
  case LrKind::one_cycle:
    return one_cycle(double(done), double(left));
  default:
    return 1;
  }
}

} // namespace theta
