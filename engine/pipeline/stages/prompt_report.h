// How well samples follow their conditions: from their scores to a table.
#pragma once
#include "data/json.h"
#include "engine/generators/prompts.h"
#include <map>

namespace theta {

// R² = 1 − Σ(prompt − observed)²/Σ(prompt − mean prompt)²: how well what was wanted was met.
double prompt_alignment(const std::vector<float> &prompted, const std::vector<float> &observed);

// For people, and for prompts.json: prompted and observed values of what the samples are scored by, and where they
// started, how far they came and how far training came.
struct PromptReport {
  Json json;
  std::string table; // empty where there is nothing to tell
};
// scores: what the samples' columns say of them, such as test_accuracy.
PromptReport prompt_report(const PromptTable &, const ZooReader &,
                           const std::map<std::string, std::vector<float>> &scores);

} // namespace theta
