#include "path.h"
#include "kernels/device/names.h"
#include <cmath>

namespace theta {

namespace {
constexpr std::array schedule_names{"logit-normal", "linear", "cosine", "edm", "uniform"};
}

NoiseSchedule noise_schedule_named(std::string_view name) {
  return value_named<NoiseSchedule>(name, schedule_names, "noise");
}
const char *name_of(NoiseSchedule schedule) { return schedule_names[std::size_t(schedule)]; }

Path Path::chain(int steps, double first, double last) {
  if (steps < 2 || !(first > 0 && first <= last && last < 1))
    throw InputError("schedule: found ", steps, " steps of beta ", first, " to ", last,
                     ", expected at least 2, and 0 < first <= last < 1");
  Path path(NoiseSchedule::linear);
  double kept = 1;
  for (int t = 0; t < steps; ++t) {
    kept *= 1 - (first + (last - first) * t / (steps - 1));
    path.alpha_bar_.push_back(kept);
  }
  return path;
}

NoiseLevel<double> Path::at(double t) const {
  if (alpha_bar_.empty())
    return level_at(schedule_, t);
  const double kept = alpha_bar_[std::size_t(t)];
  return {std::sqrt(kept), std::sqrt(1 - kept)};
}

double Path::start() const { return alpha_bar_.empty() ? at(times(1).front()).noise : 1; }

std::vector<double> Path::times(int steps) const {
  const int chain = int(alpha_bar_.size());
  if (steps < 1 || (chain > 0 && steps > chain))
    throw InputError("solver: found ", steps, " steps, expected ",
                     chain > 0 ? text("1 to ", chain) : text("at least 1"));
  std::vector<double> all;
  for (int i = 0; i < steps; ++i) {
    const double share = steps > 1 ? double(i) / (steps - 1) : 0; // from the first to the last
    if (chain > 0) {
      all.push_back(double(std::lround((chain - 1) * (1 - share))));
    } else if (schedule_ == NoiseSchedule::edm) {
      const double root = 1.0 / 7, most = std::pow(80, root), least = std::pow(0.002, root);
      all.push_back(std::log(std::pow(most + share * (least - most), 7)) / 4);
    } else {
      all.push_back(1 - double(i) / steps);
    }
  }
  return all;
}

} // namespace theta
