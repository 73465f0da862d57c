#include "choice.h"
#include "kernels/device/error.h"
#include <cmath>

namespace theta {

namespace {

double within(const Range &r, double share) {
  return r.log ? r.from * std::pow(r.to / r.from, share) : r.from + share * (r.to - r.from);
}

} // namespace

double Choice::fixed(const char *key) const {
  if (!is_fixed())
    throw InputError(key, ": found several values, expected one here");
  return values.front();
}

std::size_t Choice::grid_size() const { return range ? std::size_t(range->points) : values.size(); }

double Choice::on_grid(std::size_t i) const {
  return range ? within(*range, range->points > 1 ? double(i) / (range->points - 1) : 0) : values[i];
}

double Choice::drawn(double uniform) const {
  return range ? within(*range, uniform) : values[std::size_t(uniform * double(values.size()))];
}

} // namespace theta
