// How a zoo is trained: what its runs share, what may differ between them, and which of their steps become rows.
#pragma once
#include "engine/networks/network.h"
#include "engine/settings/keys.h"
#include "engine/training/lr_schedule.h"
#include "kernels/device/arithmetic.h"
#include "kernels/runs/training_run.h"

namespace theta {

// every: each n-th step. last: the last n consecutive steps (p-diff's recipe). random: n uniformly random steps, and
// the first and the last (G.pt's recipe). log, root: the same, drawn uniformly in the logarithm, in the square root, of
// the step: early steps are seen as often as late ones, or somewhat more often than they would be.
enum class CheckpointKind { every, last, random, log, root, spaced };
CheckpointKind checkpoints_named(std::string_view name); // throws InputError
const char *name_of(CheckpointKind);

// How a run comes by what may differ: a combination of its own drawn at random, or run r the r-th point of the grid
// that all lists and ranges span (again from its first after its last).
enum class DrawKind { random, grid };
DrawKind draw_named(std::string_view name); // throws InputError
const char *name_of(DrawKind);

// What runs start from. own: initial weights of their own. shared: those of run 0. base: a network learned first, from
// which few steps reach any signal (base.h). trunk: where networks differ in some tensors alone, those of the trunk.
enum class StartKind { own, shared, base, trunk };
StartKind start_named(std::string_view name); // throws InputError
const char *name_of(StartKind);

// How the base is learned: rounds of so many networks, and their steps.
struct BaseRecipe {
  long rounds = 400;
  int networks = 64;
  long steps = 20;
  double lr = 2e-3, rate = 0.5; // of the steps; of the base's move to their mean
};

// How the trunk of networks that differ in some tensors alone is trained: as they are, but for its steps, and where they
// are not 0, its batch and learning rate.
struct TrunkRecipe {
  long steps = 1000;
  int batch = 0;
  double lr = 0;
};

// What a network of text reads (mixture.h).
struct MixtureRecipe {
  double a = 0, most = 1, least = 0;
  int pure = 0;
};

// How training images differ whenever they are drawn (kernels/operations/gather.h).
struct AugmentRecipe {
  int crop = 0;
  bool flip = false;
  int cutout = 0;
  double mixup = 0; // a of Beta(a, a)
  bool any() const { return crop > 0 || flip || cutout > 0 || mixup > 0; }
};

// When networks whose form has zeros (engine/networks/form.h) are pruned. once: before the step at share `from` of all
// steps. gradual: from there until share `until`, every so many steps, so that zeros grow fast at first (Zhu and Gupta,
// 2017, eq. 1). After it zeros stay zeros.
enum class PruneKind { once, gradual };
PruneKind prune_named(std::string_view name); // throws InputError
const char *name_of(PruneKind);
struct PruneRecipe {
  PruneKind kind = PruneKind::once;
  double from = 0.6, until = 0.8;
  long every = 10;
};

struct ZooRecipe {
  int networks = 1;
  int wave = 256; // networks trained beside one another; results do not depend on it
  long steps = 1000;
  int batch = 128;
  double beta1 = 0.9, beta2 = 0.999, eps = 1e-8;
  LrSchedule schedule; // its steps are the run's
  CheckpointKind checkpoints = CheckpointKind::last;
  long count = 1;        // n of the checkpoint schedule
  double held_out = 0.5; // the share of runs (of checkpoints, where there is one run) that generators never see
  Arithmetic arithmetic = Arithmetic::fp32;
  double average = 0;            // decay of the average that a run leaves in place of its weights; 0: these
  bool decays_vectors = true;    // whether weight decay falls on vectors too (Layerwise)
  double divergence_limit = 1e3; // a run with a weight beyond this, or not finite, is dropped whole

  double stop_psnr = 0; // decibels at which a field's training ends before its steps do; 0: it does not

  int low_rank = 0; // of what the base is multiplied by, where fields are trained so (adapted.h)

  StartKind start = StartKind::own;
  BaseRecipe base;
  TrunkRecipe trunk;
  AugmentRecipe augment;
  MixtureRecipe mixture;
  PruneRecipe prune;

  DrawKind draw = DrawKind::random;
  std::vector<OptimizerKind> optimizer{OptimizerKind::adam};
  std::vector<Activation> activation{Activation::relu};
  std::vector<Initialisation> initialisation{Initialisation::pytorch};
  Choice lr = 1e-3, momentum = 0.9, weight_decay = 0.0, label_smoothing = 0.0, label_noise = 0.0, dropout = 0.0;
};

// What one run is trained with.
struct RunChoice {
  RunRecipe recipe;
  Initialisation initialisation;
};
RunChoice choice_of(const ZooRecipe &, std::uint64_t seed, int run);

// The settings of [zoo] that a recipe has; activations and initialisations are the network's.
void describe(Keys &, ZooRecipe &);
// Throws InputError for settings that do not go together, or that such networks have no use for.
void check_recipe(const ZooRecipe &, const NetworkShape &);

// Throws InputError for a range that a grid has no points of.
void check_choices(const ZooRecipe &);

// The steps of run `run` that become rows, ascending: a checkpoint of step s has seen s updates.
std::vector<long> checkpoint_steps(const ZooRecipe &, std::uint64_t seed, int run);

// How many of `all` weights are kept from before step `step` on, of which `kept` are at the end, and whether zeros stay
// zeros in it: ScheduledStep::keep and holds. `at_once`: whatever the recipe says, once.
struct Pruning {
  long keep = -1;
  bool holds = false;
};
Pruning pruning_at(const ZooRecipe &, long step, std::size_t all, std::size_t kept, bool at_once);

// Whether item i of a sequence is held out: the first i items hold ⌊i·share⌋ held-out ones.
bool is_held_out(long i, double share);

} // namespace theta
