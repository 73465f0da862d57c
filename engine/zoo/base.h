// The network that a zoo's runs start from when they start from one: learned so that few steps reach any signal from it
// (Reptile: Nichol, Achiam & Schulman, "On first-order meta-learning algorithms", 2018, algorithm 1 with batches). A
// round takes some of the training signals, goes the recipe's inner steps towards each, and moves the base towards the
// mean of where they end, by a rate that falls in a line to nothing. What is held out takes no part.
#pragma once
#include "engine/training/journal.h"
#include "learning.h"
#include "wave.h"
#include <filesystem>

namespace theta {

inline constexpr const char *base_name = "base.safetensors"; // in a zoo's folder

class BaseTrainer {
public:
  // Throws InputError for classifiers, which all learn the same.
  BaseTrainer(const ZooRecipe &, const NetworkShape &, std::uint64_t seed, const DatasetSizes &, Backend);
  const MemoryPlan &plan() const { return plan_; }

  // The base [V]. Continues from `state` if it belongs to `key`, and saves into it. Throws Interrupted when asked to
  // stop.
  std::vector<float> run(Device, const Dataset &, const std::filesystem::path &state, const std::string &key,
                         Journal &);

private:
  static ZooRecipe inner(const ZooRecipe &);
  std::vector<std::uint32_t> signals_of(long round) const;

  ZooRecipe recipe_;
  std::uint64_t seed_;
  std::unique_ptr<TrainingPart> part_;
  Wave wave_;
  MemoryPlan plan_{"zoo.base", "zoo.base_networks"};
  std::vector<std::uint32_t> training_; // signals of runs that are not held out
};

} // namespace theta
