// What samples are told, and how well they follow: from the configuration's prompts and the zoo to what the sampler
// takes, and from the samples' scores to a table.
#pragma once
#include "data/json.h"
#include "data/zoo.h"
#include "engine/generators/transformer_sample.h"

namespace theta {

// NAME=VALUE, or NAME=FROM..TO for a sweep: of a condition, or of a column that conditions read.
struct Prompt {
  std::string name;
  double from, to;
};
Prompt prompt_of(const std::string &text); // throws InputError

// Which networks generation starts from: the first checkpoint of each held-out run, and where training took it.
struct Starts {
  std::vector<std::size_t> rows, ends; // of the zoo: each run's first, and its last
};
Starts starts_of(const ZooReader &, const std::vector<std::size_t> &held_out);

// Everything that `samples` are told. Sample i has point i mod points of every sweep, and start i/points, again from
// the first after the last. What is known of the start is told too; what is neither prompted nor known is not.
struct PromptTable {
  std::vector<Prompt> prompts;
  int points = 1;
  std::vector<std::size_t> start_rows, end_rows; // [samples] of the zoo, where the generator starts from networks
  Prompts told;
  float value(std::size_t prompt, std::size_t sample) const; // what the sample was told
};
// Throws InputError for prompts that the generator does not know, or a zoo without a start.
PromptTable prompt_table(const std::vector<std::string> &prompts, int points, const TransformerConfig &,
                         const ZooReader &, const std::vector<std::size_t> &held_out, std::size_t samples);

// R² = 1 − Σ(prompt − observed)²/Σ(prompt − mean prompt)²: how well what was wanted was met.
double prompt_alignment(const std::vector<float> &prompted, const std::vector<float> &observed);

// For people, and for prompts.json: prompted and observed values of what the samples are scored by, and where they
// started, how far they came and how far training came.
struct PromptReport {
  Json json;
  std::string table; // empty where there is nothing to tell
};
PromptReport prompt_report(const PromptTable &, const ZooReader &, const std::vector<float> &loss,
                           const std::vector<float> &accuracy);

} // namespace theta
