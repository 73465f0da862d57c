#include "wall.h"
#include <algorithm>
#include <cmath>

namespace theta {

namespace {

std::vector<std::string> changes_of(const WallCase &c) {
  auto all = c.changes;
  if (!c.generator.empty())
    all.insert(all.begin(), "fit.generator=" + c.generator);
  return all;
}

StagesOf stages_of(const WallCase &c) { return c.generator.empty() ? StagesOf::networks : StagesOf::generator; }

// The case's largest stage, and V. Nothing where the case cannot be so large.
struct Largest {
  std::size_t parameters, bytes;
  std::string stage;
};
std::optional<Largest> largest_stage(const RunMemory &memory, const WallCase &c,
                                     const std::vector<std::string> &changes, double wider) {
  try {
    const auto planned = memory.planned(changes, wider, stages_of(c));
    return Largest{planned.parameters, planned.bytes, planned.plans.at(planned.stage).name()};
  } catch (const InputError &) { // beyond what it can index
    return {};
  }
}

} // namespace

std::vector<WallCase> wall_cases(const RunMemory &memory) {
  std::vector<WallCase> all{{"", {}}};
  for (const std::string &name : memory.planned().config.generators.names()) {
    all.push_back({name, {}});
    std::vector<std::string> every;
    try {
      for (WallCase next{name, {}};;) { // each switch alone, then all
        const auto left = memory.savings(changes_of({name, every}));
        if (every.empty())
          for (const auto &change : left)
            all.push_back({name, {change}});
        const auto fresh = std::find_if(left.begin(), left.end(), [&](const std::string &change) {
          const std::string key = change.substr(0, change.find('=') + 1);
          return std::none_of(every.begin(), every.end(), [&](const auto &is) { return is.starts_with(key); });
        });
        if (fresh == left.end())
          break;
        every.push_back(*fresh);
      }
    } catch (const InputError &) { // the configuration has no settings that go with this generator
    }
    if (every.size() > 1)
      all.push_back({name, every});
  }
  return all;
}

Wall wall_of(const RunMemory &memory, const WallCase &c, std::size_t bytes) {
  const RunMemory within = memory.within(bytes);
  Wall wall{bytes};
  const auto changes = changes_of(c);
  const auto fits = [&](double wider) {
    const auto at = largest_stage(within, c, changes, wider);
    if (at && at->bytes <= bytes) {
      wall.parameters = at->parameters;
      return true;
    }
    wall.stage = at ? at->stage : "cannot be planned";
    return false;
  };
  double low = 1, high = 1;
  if (fits(1)) {
    while (fits(high = 2 * low)) {
      low = high;
      if (wall.parameters >= no_wall) {
        wall.parameters = no_wall, wall.stage = "";
        break;
      }
    }
  } else {
    while (!fits(low = high / 2) && low > 1e-4)
      high = low;
    if (wall.parameters == 0)
      return wall;
  }
  while (wall.parameters != no_wall && high / low > 1.002)
    (fits(std::sqrt(low * high)) ? low : high) = std::sqrt(low * high);
  if (wall.parameters != no_wall)
    fits(low);
  if (c.generator.empty())
    return wall;

  // The batches of its training, together.
  std::vector<std::string> keys;
  for (const auto &plan : within.planned(changes, 1, stages_of(c)).plans)
    if (plan.batch().starts_with("fit.") && std::find(keys.begin(), keys.end(), plan.batch()) == keys.end())
      keys.push_back(plan.batch());
  const auto fits_batch = [&](std::size_t batch) {
    auto all = changes;
    for (const auto &key : keys)
      all.push_back(key + "=" + std::to_string(batch));
    const auto at = largest_stage(within, c, all, 1);
    return at && at->bytes <= bytes;
  };
  constexpr std::size_t most = 1'000'000;
  std::size_t holds = 0, beyond = 1;
  while (beyond < most && (fits_batch(beyond) || (beyond < 2 && fits_batch(2))))
    holds = beyond, beyond *= 2;
  while (beyond - holds > 1) {
    const std::size_t middle = holds + (beyond - holds) / 2;
    (fits_batch(middle) ? holds : beyond) = middle;
  }
  wall.batch = holds;
  return wall;
}

} // namespace theta
