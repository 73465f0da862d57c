#include "lr_schedule.h"
#include "kernels/names.h"
#include <cmath>
#include <numbers>

namespace theta {

namespace {
constexpr std::array lr_names{"constant", "cosine", "step"};
}

LrKind lr_kind_named(std::string_view name) { return value_named<LrKind>(name, lr_names, "schedule"); }
const char *name_of(LrKind kind) { return lr_names[std::size_t(kind)]; }

double LrSchedule::at(long step) const {
  switch (kind) {
  case LrKind::cosine:
    return 0.5 * (1 + std::cos(std::numbers::pi * double(step) / double(steps)));
  case LrKind::step:
    return std::pow(gamma, double(step / every));
  default:
    return 1;
  }
}

} // namespace theta
