// What an evaluation is asked to do: the settings of [eval].
#pragma once
#include "engine/analysis/novelty.h"
#include "engine/settings/keys.h"

namespace theta {

struct EvalConfig {
  int networks = 100, references = 100, wave = 64, average = 16;
  int ensemble = 32;   // networks of the largest ensemble, and whose calibration is measured
  int diversity = 200; // networks of a group whose pairs are compared
  int closest = 128;   // training networks whose hull a network may lie in
  int lines = 20, hessians = 4, hessian_images = 1000;
  bool baselines = true;
  int recount = 0;                    // batches over which running statistics are counted anew
  double asked = 0.05;                // how far from what was asked for a network may be and have it (asked.h)
  double bar = 0, bar_quantile = 0.1; // of accuracy, that a network which is good has (engine/analysis/joint.h)
  std::vector<std::string> groups;    // others to be judged: NAME=ZOO
  std::string twin;                   // samples, of the same noise, of a generator that has learned other networks
  std::string part = "test";          // or validation
  DistanceKind distance = DistanceKind::plain;
  std::vector<double> noise{0.01, 0.03, 0.1};

  // The images that networks are judged on.
  const Images &part_of(const Dataset &data) const { return part == "test" ? data.test : data.validation; }
  std::size_t images_of(const DatasetSizes &data) const { return part == "test" ? data.test : data.validation; }
};

void describe(Keys &, EvalConfig &);
void check(const EvalConfig &); // throws InputError, naming a key

// Groups to be judged, NAME=FOLDER each. Throws InputError, naming `where`, for what is none, or has another's name.
void check_groups(const std::vector<std::string> &, const std::string &where);

} // namespace theta
