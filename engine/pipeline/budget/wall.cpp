#include "wall.h"
#include "engine/training/interrupt.h"
#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

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

namespace {

// The largest x that fits: bytes(x) of at most `most`, nothing where x cannot be planned. Sizes grow like powers of x,
// so the next x is where the line through the last two on logarithmic axes meets `most`, or the middle of what is left,
// a slack(x) to that side from which it has not been tried, so that both ends close in. Ends where `is_near(low,
// high)`; low fits, high does not. Throws Interrupted.
struct Found {
  double low, high; // 0, or infinity, where there is none
};
template <class Bytes, class Near, class Slack>
Found largest_that_fits(double first, double least, double limit, double most, Bytes bytes, Near is_near, Slack slack) {
  Found found{0, std::numeric_limits<double>::infinity()};
  double low_bytes = 0, high_bytes = 0;
  double x = first;
  for (int step = 0;; ++step) {
    stop_if_interrupted("wall");
    const std::optional<double> now = bytes(x);
    if (now && *now <= most)
      found.low = x, low_bytes = *now;
    else
      found.high = x, high_bytes = now.value_or(0);
    if (found.low >= limit || (found.low == 0 && found.high <= least) ||
        (found.low > 0 && is_near(found.low, found.high)))
      return found;
    const bool open_above = std::isinf(found.high), open_below = found.low == 0;
    const double middle = open_above ? 2 * found.low : open_below ? found.high / 2 : std::sqrt(found.low * found.high);
    double next = middle;
    if (open_above && low_bytes > 0) // what grows with x's square at most: not far beyond
      next = found.low * std::clamp(std::sqrt(most / low_bytes), 1.01, 64.0);
    else if (open_below && high_bytes > 0)
      next = found.high * std::clamp(most / high_bytes, 1.0 / 64, 0.99);
    else if (low_bytes > 0 && high_bytes > 0 && step % 3 != 2) {
      const double power = std::log(high_bytes / low_bytes) / std::log(found.high / found.low);
      const double there = found.low * std::pow(most / low_bytes, 1 / power) + (x == found.low ? slack(x) : -slack(x));
      next = std::isfinite(there) && there > found.low && there < found.high ? there : middle;
    }
    x = next;
  }
}

} // namespace

Wall wall_of(const RunMemory &memory, const WallCase &c, std::size_t bytes) {
  const RunMemory within = memory.within(bytes);
  Wall wall{bytes};
  const auto changes = changes_of(c);
  largest_that_fits(
      1, 1e-4, std::numeric_limits<double>::infinity(), double(bytes),
      [&](double wider) -> std::optional<double> {
        if (wall.parameters == no_wall)
          return std::nullopt;
        const auto at = largest_stage(within, c, changes, wider);
        if (!at || at->bytes > bytes) {
          wall.stage = at ? at->stage : "cannot be planned";
          return at ? std::optional(double(at->bytes)) : std::nullopt;
        }
        wall.parameters = std::max(wall.parameters, at->parameters);
        if (wall.parameters >= no_wall)
          wall.parameters = no_wall, wall.stage = "";
        return double(at->bytes);
      },
      [&](double low, double high) { return wall.parameters == no_wall || high / low <= 1.002; },
      [](double x) { return 8e-4 * x; });
  if (c.generator.empty() || wall.parameters == 0)
    return wall;

  // The batches of its training, together.
  std::vector<std::string> keys;
  for (const auto &plan : within.planned(changes, 1, stages_of(c)).plans)
    if (plan.batch().starts_with("fit.") && std::find(keys.begin(), keys.end(), plan.batch()) == keys.end())
      keys.push_back(plan.batch());
  constexpr double most = 1'000'000;
  largest_that_fits(
      2, 1, most, double(bytes),
      [&](double tried) -> std::optional<double> {
        for (const long batch : {long(tried), long(tried) - 1}) { // some batches come in parts, which divide it
          auto all = changes;
          for (const auto &key : keys)
            all.push_back(key + "=" + std::to_string(batch));
          const auto at = batch < 1 ? std::nullopt : largest_stage(within, c, all, 1);
          if (at && at->bytes <= bytes)
            wall.batch = std::max(wall.batch, std::size_t(batch));
          if (at)
            return double(at->bytes);
        }
        return std::nullopt;
      },
      [](double low, double high) { return std::floor(high) - std::floor(low) <= 1; }, [](double) { return 0.7; });
  return wall;
}

} // namespace theta
