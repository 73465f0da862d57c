#include "metric.h"

namespace theta {

namespace {

std::vector<Metric> &metrics() {
  static std::vector<Metric> all;
  return all;
}

} // namespace

bool add_metric(Metric metric) {
  metrics().push_back(std::move(metric));
  return true;
}

void measure(const EvalWork &work, const NetworkSet &group, GroupReport &report) {
  if (group.count > 0)
    for (const Metric &metric : metrics())
      metric(work, group, report);
}

} // namespace theta
