#include "lr_schedule.h"
#include "kernels/error.h"
#include <cmath>
#include <numbers>

namespace theta {

LrKind lr_kind_named(std::string_view name) {
  for (const auto kind : {LrKind::constant, LrKind::cosine, LrKind::step})
    if (name == name_of(kind))
      return kind;
  throw InputError("schedule: found '", name, "', expected constant, cosine or step");
}

const char *name_of(LrKind kind) {
  return kind == LrKind::constant ? "constant" : kind == LrKind::cosine ? "cosine" : "step";
}

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
