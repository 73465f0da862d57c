// What samples are conditioned on: from the configuration's prompts and the zoo to what a sampler takes.
#pragma once
#include "conditions.h"
#include "data/zoo_reader.h"

namespace theta {

// NAME=VALUE, or NAME=FROM..TO for a sweep: of a condition, or of a column that conditions read.
struct Prompt {
  std::string name;
  double from, to;
  std::vector<float> of_samples{}; // in place of these: what each sample is told
};
// Or this: sample i is told everything that conditions read of held-out network i.
inline constexpr const char *as_held_out = "held_out";
Prompt prompt_of(const std::string &text); // throws InputError

// Which networks generation starts from: the first checkpoint of each held-out run, and where training took it.
struct Starts {
  std::vector<std::size_t> rows, ends; // of the zoo: each run's first, and its last
};
Starts starts_of(const ZooReader &, const std::vector<std::size_t> &held_out);

// The samples' conditions, in the zoo's own units; NaN: none.
struct Prompts {
  std::vector<float> told;  // [samples, K]
  std::vector<float> start; // [samples, V] where the generator starts from networks
};

// Everything that `samples` are conditioned on. Sample i has point i mod points of every sweep, and start i/points,
// again from the first after the last. What is known of the start is a condition too; what is neither prompted nor
// known is not.
struct PromptTable {
  std::vector<Prompt> prompts;
  int points = 1;
  std::vector<std::size_t> start_rows, end_rows; // [samples] of the zoo, where the generator starts from networks
  Prompts told;
  float value(std::size_t prompt, std::size_t sample) const; // what the sample was conditioned on
};
// Of a generator with these conditions, which starts from networks or not. Throws InputError for prompts that it does
// not know, or a zoo without a start.
PromptTable prompt_table(const std::vector<std::string> &prompts, int points, const Conditions &, bool start,
                         const ZooReader &, const std::vector<std::size_t> &held_out, std::size_t samples);

} // namespace theta
