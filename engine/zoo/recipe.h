// How a zoo is trained: the optimiser and its schedule, and which steps of which run become rows.
#pragma once
#include "engine/training/lr_schedule.h"
#include <cstdint>
#include <string_view>
#include <vector>

namespace theta {

enum class OptimizerKind { sgd, adam, adamw };
OptimizerKind optimizer_named(std::string_view name); // throws InputError
const char *name_of(OptimizerKind);

// every: each n-th step. last: the last n consecutive steps (p-diff's recipe). random: n uniformly random steps, and
// the first and the last (G.pt's recipe).
enum class CheckpointKind { every, last, random };
CheckpointKind checkpoints_named(std::string_view name); // throws InputError
const char *name_of(CheckpointKind);

struct ZooRecipe {
  int networks = 1;
  int wave = 256; // networks trained beside one another; results do not depend on it
  long steps = 1000;
  int batch = 128;
  OptimizerKind optimizer = OptimizerKind::adam;
  double lr = 1e-3, momentum = 0.9, beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weight_decay = 0;
  LrKind schedule = LrKind::constant;
  long schedule_every = 1000; // of the step schedule
  double schedule_gamma = 0.1;
  CheckpointKind checkpoints = CheckpointKind::last;
  long count = 1;                // n of the checkpoint schedule
  double held_out = 0.5;         // the share of runs (of checkpoints, where there is one run) that generators never see
  double divergence_limit = 1e3; // a run with a weight beyond this, or not finite, is dropped whole
};

// The steps of run `run` that become rows, ascending: a checkpoint of step s has seen s updates.
std::vector<long> checkpoint_steps(const ZooRecipe &, std::uint64_t seed, int run);

// Whether item i of a sequence is held out: the first i items hold ⌊i·share⌋ held-out ones.
bool is_held_out(long i, double share);

} // namespace theta
