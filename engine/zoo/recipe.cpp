#include "recipe.h"
#include "kernels/names.h"
#include "kernels/philox.h"
#include <algorithm>
#include <cmath>

namespace theta {

namespace {
constexpr std::array optimizer_names{"sgd", "adam", "adamw"};
constexpr std::array checkpoint_names{"every", "last", "random"};
} // namespace

OptimizerKind optimizer_named(std::string_view name) {
  return value_named<OptimizerKind>(name, optimizer_names, "optimizer");
}
const char *name_of(OptimizerKind kind) { return optimizer_names[std::size_t(kind)]; }

CheckpointKind checkpoints_named(std::string_view name) {
  return value_named<CheckpointKind>(name, checkpoint_names, "checkpoints");
}
const char *name_of(CheckpointKind kind) { return checkpoint_names[std::size_t(kind)]; }

std::vector<long> checkpoint_steps(const ZooRecipe &r, std::uint64_t seed, int run) {
  std::vector<long> steps;
  switch (r.checkpoints) {
  case CheckpointKind::every:
    for (long s = r.count; s <= r.steps; s += r.count)
      steps.push_back(s);
    break;
  case CheckpointKind::last:
    for (long s = std::max(0L, r.steps - r.count + 1); s <= r.steps; ++s)
      steps.push_back(s);
    break;
  case CheckpointKind::random:
    steps = {0, r.steps};
    for (long i = 0; i < std::min(r.count, r.steps - 1); ++i) // without repetition: the start of a random order
      steps.push_back(1 + shuffled(seed, Purpose::checkpoint_steps, std::uint32_t(run), std::uint64_t(i),
                                   std::uint32_t(r.steps - 1)));
    std::sort(steps.begin(), steps.end());
    break;
  }
  return steps;
}

bool is_held_out(long i, double share) { return std::floor(double(i + 1) * share) > std::floor(double(i) * share); }

} // namespace theta
