#include "recipe.h"
#include "kernels/error.h"
#include "kernels/philox.h"
#include <algorithm>
#include <cmath>

namespace theta {

OptimizerKind optimizer_named(std::string_view name) {
  for (const auto kind : {OptimizerKind::sgd, OptimizerKind::adam, OptimizerKind::adamw})
    if (name == name_of(kind))
      return kind;
  throw InputError("optimizer: found '", name, "', expected sgd, adam or adamw");
}

const char *name_of(OptimizerKind kind) {
  return kind == OptimizerKind::sgd ? "sgd" : kind == OptimizerKind::adam ? "adam" : "adamw";
}

CheckpointKind checkpoints_named(std::string_view name) {
  for (const auto kind : {CheckpointKind::every, CheckpointKind::last, CheckpointKind::random})
    if (name == name_of(kind))
      return kind;
  throw InputError("checkpoints: found '", name, "', expected every, last or random");
}

const char *name_of(CheckpointKind kind) {
  return kind == CheckpointKind::every ? "every" : kind == CheckpointKind::last ? "last" : "random";
}

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
