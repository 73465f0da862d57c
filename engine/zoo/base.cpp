#include "base.h"
#include "engine/memory/arena.h"
#include "engine/training/step_loop.h"
#include "evaluator.h"

namespace theta {

// What a round's networks are trained with: the zoo's way, but for steps, rate and rows.
ZooRecipe BaseTrainer::inner(const ZooRecipe &of) {
  ZooRecipe r = of;
  r.networks = r.wave = of.base.networks, r.steps = of.base.steps, r.lr = of.base.lr;
  r.schedule.warmup = 0, r.checkpoints = CheckpointKind::last, r.count = 1, r.held_out = 0, r.stop_psnr = 0,
  r.low_rank = 0;
  return r;
}

BaseTrainer::BaseTrainer(const ZooRecipe &recipe, const NetworkShape &shape, std::uint64_t seed,
                         const DatasetSizes &sizes, Backend backend)
    : recipe_(recipe), seed_(seed), part_(learning_of(shape).part(shape, sizes, std::size_t(recipe.base.networks))),
      wave_(inner(recipe), shape, recipe.base.networks, seed, false, backend,
            trainer_for(backend, shape, inner(recipe))) {
  learning_of(shape).check(recipe);
  part_->plan(plan_), wave_.plan(plan_);
  plan_.place();
  const auto all = learning_of(shape).part(shape, sizes);
  for (long run = 0; run < std::min<long>(recipe.networks, long(sizes.train)); ++run)
    if (!is_held_out(run, recipe.held_out))
      training_.push_back(all->signal_of(run));
  if (training_.empty())
    throw InputError("zoo.held_out: found ", recipe.held_out, ", which leaves no signal for a base");
}

std::vector<std::uint32_t> BaseTrainer::signals_of(long round) const {
  std::vector<std::uint32_t> chosen;
  for (int i = 0; i < recipe_.base.networks; ++i) {
    const auto place = std::uint64_t(round) * std::uint64_t(recipe_.base.networks) + std::uint64_t(i);
    chosen.push_back(training_[shuffled(seed_, Purpose::base_signals, 0, place, std::uint32_t(training_.size()))]);
  }
  return chosen;
}

std::vector<float> BaseTrainer::run(Device device, const Dataset &data, const std::filesystem::path &state_path,
                                    const std::string &key, Journal &journal) {
  const auto state = load_state(state_path, key);
  const BaseRecipe &r = recipe_.base;
  const std::size_t v = wave_.parameters(), n = std::size_t(r.networks);
  Stream s(device);
  const Arena arena(device, plan_);
  std::vector<float> base = state ? state->tensor("base") : wave_.layout().initial_values(seed_, 0);
  const auto step = [&](long round, bool report) {
    const auto signals = signals_of(round);
    const Examples examples = part_->upload(s, data, &signals);
    wave_.start(s, 0, r.networks, &base);
    for (long first = 0; first < r.steps;) {
      const long last = std::min(r.steps, first + wave_.chunk());
      wave_.train(s, examples, first, last);
      first = last;
    }
    const auto ends = to_host(s, wave_.theta(), n * v);
    const double rate = r.rate * (1 - double(round) / double(r.rounds));
    for (std::size_t i = 0; i < v; ++i) {
      double sum = 0;
      for (std::size_t k = 0; k < n; ++k)
        sum += ends[k * v + i];
      base[i] += float(rate * (sum / double(n) - double(base[i])));
    }
    std::vector<std::pair<std::string, double>> metrics;
    if (report) {
      double loss = 0;
      for (const float each : wave_.losses(s))
        loss += each / double(n);
      metrics = {{"loss", loss}, {"psnr", psnr_of(float(loss))}};
    }
    return metrics;
  };
  StepLoop{journal, "zoo.base", r.rounds}.run(state ? state->number("round") : 0, step, [&](long done) {
    save_state(state_path, {key, {{"round", done}}, {state_of("base", base)}});
  });
  return base;
}

} // namespace theta
