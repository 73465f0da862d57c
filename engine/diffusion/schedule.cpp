#include "schedule.h"
#include "kernels/error.h"

namespace theta {

Schedule linear_schedule(int steps, double first, double last) {
  if (steps < 2 || !(first > 0 && first <= last && last < 1))
    throw InputError("schedule: found ", steps, " steps of beta ", first, " to ", last,
                     ", expected at least 2, and 0 < first <= last < 1");
  Schedule schedule;
  double kept = 1;
  for (int t = 0; t < steps; ++t) {
    const double beta = first + (last - first) * t / (steps - 1);
    kept *= 1 - beta;
    schedule.beta.push_back(beta);
    schedule.alpha_bar.push_back(kept);
  }
  return schedule;
}

} // namespace theta
