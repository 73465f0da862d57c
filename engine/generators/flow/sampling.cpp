#include "sampling.h"

namespace theta {

void FlowSampling::describe(Keys &keys) {
  keys({"ddim_eta", "noise added between steps: 0 is deterministic (DDIM), 1 ancestral"}, solver.eta, Limits{0, 1});
  keys({"solver", "of the equation from noise to networks"}, solver.solver, solver_named);
  keys({"solver_steps", "steps of the solver"}, solver.steps, positive);
  keys({"round_below",
        "networks with a form (network.form): below this share of noise, what the model takes samples for "
        "is rounded to it at every step; 0: at the end alone"},
       solver.round_below, share);
  keys({"between", "samples from one noise to the next; 0: every sample has a noise of its own"}, solver.between,
       not_negative);
  keys({"guidance", "classifier-free guidance: 1 is none, above 1 exaggerates the conditions"}, solver.guidance,
       Limits{0, 100});
  keys({"prompt", "what the networks shall be: CONDITION=VALUE or =FROM..TO, one for each condition; or held_out: what "
                  "held-out networks are, one after another"},
       prompt);
  keys({"points", "values of a range that prompts take"}, points, positive);
}

void FlowSampling::check(const FlowConfig &flow, const std::string &table) const {
  if (flow.noise_scale != 1 && solver.solver == SolverKind::ddpm)
    throw InputError(table, ".noise_scale: found ", flow.noise_scale,
                     ", expected 1 with solver = ddpm, which adds noise of deviation 1");
  for (const std::string &text : prompt)
    if (text != as_held_out)
      prompt_of(text);
}

std::vector<std::string> FlowSampling::told(const FlowConfig &config) const {
  const Conditions conditions(config.conditions);
  std::vector<std::string> names;
  for (const std::string &text : prompt)
    if (text == as_held_out)
      names.insert(names.end(), conditions.columns().begin(), conditions.columns().end());
    else
      names.push_back(prompt_of(text).name);
  return names;
}

SolverOptions FlowSampling::options(const GeneratorTask &task) const {
  SolverOptions options = solver;
  options.batch = task.sample_batch, options.seed = task.seed, options.guided = task.guided;
  return options;
}

PromptTable FlowSampling::prompts(const FlowConfig &config, const ZooReader &zoo,
                                  const std::vector<std::size_t> &held_out, std::size_t samples) const {
  return prompt_table(prompt, points, Conditions(config.conditions), config.start, zoo, held_out, samples);
}

std::vector<Tellable> tellable_of(const TrainedFlow &t) {
  std::vector<Tellable> all;
  const Conditions conditions(t.config.conditions);
  for (std::size_t k = 0; k < conditions.size(); ++k)
    all.push_back({conditions.all()[k].name, conditions.all()[k].classes, t.ranges[k].low, t.ranges[k].high});
  return all;
}

void warn_of_unseen(const PromptTable &table, const TrainedFlow &t, const SampleWork &w) {
  const auto known = tellable_of(t);
  for (std::size_t k = 0; k < known.size(); ++k) {
    float low = known[k].high, high = known[k].low; // of what is told
    for (std::size_t i = k; i < table.told.told.size(); i += known.size())
      if (const float value = table.told.told[i]; value == value)
        low = std::min(low, value), high = std::max(high, value);
    const auto [name, classes, least, most] = known[k];
    if (classes > 0 ? (low < 0 || high >= float(classes)) : (low < least || high > most))
      w.warn(text("sample: ", name, " is told from ", low, " to ", high, ", the generator has seen ",
                  classes > 0 ? 0 : least, " to ", classes > 0 ? float(classes - 1) : most,
                  ": what lies beyond is a guess"));
  }
}

} // namespace theta
