// What generated networks are worth as a start: their accuracy at once and as training goes on, beside that of networks
// from scratch; and which share of the steps from scratch they save on the way to an accuracy.
#pragma once
#include "engine/pipeline/configuration/source.h"

namespace theta {

struct FinetuneConfig : StageSettingsOf<FinetuneConfig> {
  int networks = 0;   // so many of each; 0: it is left out
  int every = 10;     // steps between looks
  double lr = 0.1;    // of generated ones, in that of the zoo's recipe
  double less = 0.01; // than held-out networks' accuracy: what is to be reached
  void describe(Keys &) override;
};

// A curve of means over networks, one look every so many steps; generated ones from step 0 on.
struct FinetuneCurve {
  std::vector<long> step;
  std::vector<double> mean, std;                      // accuracies
  std::optional<long> reaches(double accuracy) const; // the first step of a look whose mean does
};

struct FinetuneReport {
  double held_out = 0, target = 0; // accuracies: the zoo's networks', and what is to be reached
  FinetuneCurve generated, scratch;
  // 1 − steps of generated ones/steps from scratch; none where one of them does not get there.
  std::optional<double> saved() const;
};

// The zoos that are trained for it: the recipe's own from scratch, and its continuation from generated ones.
ZooTask finetune_task(const Config &, bool from_generated);

// Of a zoo that was trained so; `at_once`: what its networks began with, where that is known.
FinetuneCurve curve_of(const ZooReader &, const std::vector<float> &at_once = {});

void write_finetune(const std::filesystem::path &, const FinetuneReport &, const std::string &key);
std::string finetune_key_of(const std::filesystem::path &);  // empty where there is no readable file
FinetuneReport read_finetune(const std::filesystem::path &); // throws InputError
std::string text_of(const FinetuneReport &);                 // a line

} // namespace theta
