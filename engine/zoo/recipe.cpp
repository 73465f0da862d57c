#include "recipe.h"
#include "engine/networks/form.h"
#include "engine/networks/subset.h"
#include "kernels/device/names.h"
#include "kernels/device/philox.h"
#include "layerwise.h"
#include <algorithm>
#include <cmath>
#include <set>

namespace theta {

namespace {
constexpr std::array checkpoint_names{"every", "last", "random", "log", "root", "spaced"};
constexpr std::array draw_names{"random", "grid"};
constexpr std::array prune_names{"once", "gradual"};
constexpr std::array start_names{"own", "shared", "base", "trunk"};

// Chooses for one run; every choice is asked for in the same order.
class Chooser {
public:
  Chooser(DrawKind draw, std::uint64_t seed, int run) : draw_(draw), seed_(seed), run_(run), left_(std::size_t(run)) {}

  float operator()(const Choice &c) {
    return float(draw_ == DrawKind::grid ? c.on_grid(digit(c.grid_size())) : c.drawn(uniform()));
  }
  template <class E> E operator()(const std::vector<E> &list) {
    return list[draw_ == DrawKind::grid ? digit(list.size()) : std::size_t(uniform() * double(list.size()))];
  }

private:
  std::size_t digit(std::size_t size) {
    const std::size_t d = left_ % size;
    left_ /= size;
    return d;
  }
  double uniform() {
    return double(uniform01(philox(seed_, Purpose::hyper_parameters, std::uint32_t(run_), draws_++).word[0]));
  }
  DrawKind draw_;
  std::uint64_t seed_, draws_ = 0;
  int run_;
  std::size_t left_;
};

} // namespace

DrawKind draw_named(std::string_view name) { return value_named<DrawKind>(name, draw_names, "draw"); }
const char *name_of(DrawKind kind) { return draw_names[std::size_t(kind)]; }

PruneKind prune_named(std::string_view name) { return value_named<PruneKind>(name, prune_names, "prune"); }
const char *name_of(PruneKind kind) { return prune_names[std::size_t(kind)]; }

StartKind start_named(std::string_view name) { return value_named<StartKind>(name, start_names, "start"); }
const char *name_of(StartKind kind) { return start_names[std::size_t(kind)]; }

RunChoice choice_of(const ZooRecipe &r, std::uint64_t seed, int run) {
  Chooser choose(r.draw, seed, run);
  RunChoice c;
  c.recipe.optimizer = choose(r.optimizer), c.recipe.act = choose(r.activation);
  c.initialisation = choose(r.initialisation);
  c.recipe.lr = choose(r.lr), c.recipe.momentum = choose(r.momentum);
  c.recipe.weight_decay = choose(r.weight_decay), c.recipe.label_smoothing = choose(r.label_smoothing);
  c.recipe.label_noise = choose(r.label_noise), c.recipe.dropout = choose(r.dropout);
  return c;
}

void describe(Keys &keys, ZooRecipe &r) {
  keys({"networks", "runs that are trained"}, r.networks, positive);
  keys({"wave", "networks trained side by side; results do not depend on it"}, r.wave, positive);
  keys({"steps", "training steps of a run"}, r.steps, positive);
  keys({"batch", "examples a step"}, r.batch, positive);
  keys({"arithmetic", "of products layer by layer: fp32, or bf16 operands with sums in fp32"}, r.arithmetic,
       arithmetic_named);
  keys({"optimizer", "of the runs; a list: each run draws one"}, r.optimizer, optimizer_named);
  keys({"lr", "learning rate: a number, a list or {from, to, log, points}"}, r.lr, rate);
  keys({"momentum", "of SGD"}, r.momentum, Limits{0, 0.9999});
  keys({"draw", "how runs draw from lists and ranges: at random or as a grid"}, r.draw, draw_named);
  keys({"beta1", "of Adam: decay of gradients"}, r.beta1, Limits{0, 0.9999999});
  keys({"beta2", "of Adam: decay of squared gradients"}, r.beta2, Limits{0, 0.9999999});
  keys({"eps", "of Adam: added to the root of squared gradients"}, r.eps, Limits{1e-30, 1});
  keys({"weight_decay", "weight decay"}, r.weight_decay, rate);
  keys({"decay_vectors", "whether it falls on norms, biases and what is added to tokens too"}, r.decays_vectors);
  keys({"average", "decay of a moving average of the weights, which a run leaves in their place; 0: its weights"},
       r.average, Limits{0, 0.9999});
  keys({"label_smoothing", "share of a label spread over all classes"}, r.label_smoothing, share);
  keys({"label_noise", "share of labels that are wrong"}, r.label_noise, Limits{0, 1});
  keys({"dropout", "share of hidden units that are left out in a step"}, r.dropout, share);
  keys({"crop", "images are shifted by up to so many pixels each way whenever they are drawn"}, r.augment.crop,
       Limits{0, 64});
  keys({"flip", "left and right of images are exchanged every other time"}, r.augment.flip);
  keys({"cutout", "side of a square of each image that becomes 0, anywhere"}, r.augment.cutout, Limits{0, 256});
  keys({"mixup", "a of Beta(a, a), by which two images and their labels are mixed; 0: none"}, r.augment.mixup,
       Limits{0, 1});
  keys({"mixture",
        "of text: a of Dirichlet(a, ..., a), of which each run draws its shares of the classes; 0: all alike"},
       r.mixture.a, Limits{0, 1000});
  keys({"mixture_most", "largest share of a class in a mixture"}, r.mixture.most, Limits{1e-3, 1});
  keys({"mixture_least", "smaller shares of a mixture are none, and the others larger"}, r.mixture.least,
       Limits{0, 0.5});
  keys({"pure", "of text: as many of the runs held out, the first, read each class alone"}, r.mixture.pure,
       not_negative);
  keys({"schedule", "of the learning rate over the steps"}, r.schedule.kind, lr_kind_named);
  keys({"schedule_every", "steps between drops of a stepwise schedule"}, r.schedule.every, positive);
  keys({"schedule_gamma", "factor of such a drop"}, r.schedule.gamma, Limits{0, 10});
  keys({"warmup", "steps over which the learning rate rises from 0"}, r.schedule.warmup, not_negative);
  keys({"checkpoints", "which steps of a run become networks of the zoo"}, r.checkpoints, checkpoints_named);
  keys({"count", "networks that a run gives: its checkpoints"}, r.count, positive);
  keys({"held_out", "share of runs (of checkpoints, where there is one run) that generators never see"}, r.held_out,
       share);
  keys({"divergence_limit", "a run with a weight above this is dropped"}, r.divergence_limit, Limits{1e-6, 1e30});
  keys({"stop_psnr", "fields: a run ends when it shows its signal this well, in dB; 0: never"}, r.stop_psnr,
       Limits{0, 200});
  keys({"low_rank", "fields: rank of what the base is multiplied by, which alone is trained; 0: all weights"},
       r.low_rank, Limits{0, 4096});
  keys({"prune", "networks with zeros: all at once, or gradually"}, r.prune.kind, prune_named);
  keys({"prune_from", "share of the steps after which weights become zero"}, r.prune.from, Limits{0, 1});
  keys({"prune_until", "of gradual pruning: share of the steps at which it is over"}, r.prune.until, Limits{0, 1});
  keys({"prune_every", "of gradual pruning: steps between"}, r.prune.every, positive);
  keys({"start",
        "what runs start from: own initialisations, that of run 0 (shared), a base that is trained first, or the "
        "trunk's weights (network.subset)"},
       r.start, start_named);
  keys({"base_rounds", "rounds of training the base"}, r.base.rounds, positive);
  keys({"base_networks", "networks trained in a round of the base"}, r.base.networks, positive);
  keys({"base_steps", "steps of each of these"}, r.base.steps, positive);
  keys({"base_lr", "learning rate of these"}, r.base.lr, rate);
  keys({"trunk_steps", "network.subset: training steps of the trunk"}, r.trunk.steps, positive);
  keys({"trunk_batch", "examples of its steps; 0: batch"}, r.trunk.batch, not_negative);
  keys({"trunk_lr", "its learning rate; 0: lr"}, r.trunk.lr, rate);
  keys({"base_rate", "share of the way to their mean that a round moves the base"}, r.base.rate, Limits{0, 1});
}

void check_recipe(const ZooRecipe &r, const NetworkShape &shape) {
  learning_of(shape).check(r);
  if (r.low_rank > 0 && (r.start != StartKind::base || r.stop_psnr > 0))
    throw InputError("zoo.low_rank: found ", r.low_rank, " with start = \"", name_of(r.start),
                     "\" and stop_psnr = ", r.stop_psnr, ", expected a base, and all of its steps");
  if (r.low_rank > 0 && Layerwise::is_needed(Backend::cpu, r))
    throw InputError("zoo.low_rank: found ", r.low_rank,
                     " with average, decay_vectors = false or arithmetic = \"bf16\", expected none of these");
  if (r.start == StartKind::trunk && !is_subset(shape))
    throw InputError("zoo.start: found trunk, expected it with network.subset, the tensors that networks differ in");
  if (r.start == StartKind::trunk && is_low_rank(shape))
    throw InputError("zoo.start: found trunk, expected shared or own with network.low_rank: changes begin as none");
  const NetworkForm &form = shape.form;
  if (form.kind != FormKind::floats) {
    coded_tensors(shape);
    if (r.activation.size() > 1 || r.average > 0 || r.low_rank > 0)
      throw InputError("network.form: found ", name_of(form.kind),
                       " with several activations, zoo.average or zoo.low_rank, expected none of these");
    const long first = std::lround(r.prune.from * double(r.steps)), last = std::lround(r.prune.until * double(r.steps));
    if (first >= r.steps || (r.prune.kind == PruneKind::gradual && (last < first || last >= r.steps)))
      throw InputError("zoo.prune_from: found ", r.prune.from, ", and until ", r.prune.until,
                       ", expected one after the other, and steps behind them");
  }
  check_choices(r);
  const long most = r.checkpoints == CheckpointKind::every || r.checkpoints == CheckpointKind::spaced ? r.steps
                    : r.checkpoints == CheckpointKind::last
                        ? r.steps + 1
                        : std::max(1L, r.steps - 1); // beside the first and the last
  if (r.count > most)
    throw InputError("zoo.count: found ", r.count, ", expected at most ", most, " with checkpoints = \"",
                     name_of(r.checkpoints), "\" and ", r.steps, " steps");
  if (r.schedule.warmup >= r.steps)
    throw InputError("zoo.warmup: found ", r.schedule.warmup, ", expected fewer than zoo.steps, ", r.steps);
}

void check_choices(const ZooRecipe &r) {
  for (const auto &[key, choice] : {std::pair{"zoo.lr", &r.lr},
                                    {"zoo.momentum", &r.momentum},
                                    {"zoo.weight_decay", &r.weight_decay},
                                    {"zoo.label_smoothing", &r.label_smoothing},
                                    {"zoo.label_noise", &r.label_noise},
                                    {"zoo.dropout", &r.dropout}})
    if (choice->range && r.draw == DrawKind::grid && choice->range->points < 1)
      throw InputError(key, ": found a range without points, expected how many a grid has of it: points = 5");
}

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
  case CheckpointKind::log:
  case CheckpointKind::root: {
    // Even in the logarithm, or in the square root, of the step; a step that is taken gives way to the next free one.
    std::set<long> taken{0, r.steps};
    const long wanted = std::min(r.count, r.steps - 1);
    for (long i = 0; i < wanted; ++i) {
      const double u = uniform01(philox(seed, Purpose::checkpoint_steps, std::uint32_t(run), std::uint64_t(i)).word[0]);
      const double at =
          r.checkpoints == CheckpointKind::log ? std::pow(double(r.steps), u) : 1 + double(r.steps - 1) * u * u;
      long step = std::min(r.steps - 1, long(at));
      while (taken.contains(step))
        step = step % (r.steps - 1) + 1;
      taken.insert(step);
    }
    steps.assign(taken.begin(), taken.end());
    break;
  }
  case CheckpointKind::spaced: // each as many times the one before, from a hundredth of all steps on
    for (long i = r.count - 1, next = r.steps + 1; i >= 0; --i) {
      const double share = r.count > 1 ? 1 - double(i) / double(r.count - 1) : 0;
      next = std::clamp(std::lround(double(r.steps) * std::pow(0.01, share)), i + 1, next - 1);
      steps.push_back(next);
    }
    std::sort(steps.begin(), steps.end());
    break;
  }
  return steps;
}

Pruning pruning_at(const ZooRecipe &r, long step, std::size_t all, std::size_t kept, bool at_once) {
  const long first = std::lround(r.prune.from * double(r.steps)), last = std::lround(r.prune.until * double(r.steps));
  if (r.prune.kind == PruneKind::once || at_once)
    return {step == first ? long(kept) : -1, step >= first};
  if (step < first || step > last || (step != last && (step - first) % r.prune.every != 0))
    return {-1, step >= first};
  const double left = 1 - double(step - first) / double(std::max(1L, last - first));
  return {long(kept) + std::lround(double(all - kept) * left * left * left), true};
}

bool is_held_out(long i, double share) { return std::floor(double(i + 1) * share) > std::floor(double(i) * share); }

} // namespace theta
