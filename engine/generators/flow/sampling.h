// How a generator that is a flow, or has one inside, is sampled: the keys of [sample] that they share,
// and what its samples are conditioned on.
#pragma once
#include "engine/generators/generator.h"
#include "sample.h"

namespace theta {

struct FlowSampling {
  SolverOptions solver;
  std::vector<std::string> prompt; // prompts.h
  int points = 20;                 // of a sweep

  void describe(Keys &);
  // Throws InputError for what does not go together, with the settings of the flow in `table` neither.
  void check(const FlowConfig &, const std::string &table) const;
  std::vector<std::string> told(const FlowConfig &) const;
  std::size_t trajectory() const { return 2 * std::size_t(solver.steps) + 1; }
  SolverOptions options(const GeneratorTask &) const;
  // What `samples` are conditioned on. Throws InputError for prompts that the generator does not know.
  PromptTable prompts(const FlowConfig &, const ZooReader &, const std::vector<std::size_t> &held_out,
                      std::size_t samples) const;
};

std::vector<Tellable> tellable_of(const TrainedFlow &);
// Says which conditions lie beyond the range that the generator has seen.
void warn_of_unseen(const PromptTable &, const TrainedFlow &, const SampleWork &);

} // namespace theta
