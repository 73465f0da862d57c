// Groups of classifiers, judged beside one another: the suite behind `theta eval` and `theta compare`.
#pragma once
#include "engine/analysis/hull.h"
#include "engine/analysis/landscape.h"
#include "engine/analysis/quality.h"
#include "engine/training/journal.h"
#include "source.h"

namespace theta {

// What a comparison takes of a device: the judges that work in one phase after another.
struct CompareJudges {
  // Throws InputError where there are too few networks of either kind.
  CompareJudges(const EvalConfig &, const NetworkShape &, std::size_t images, std::size_t training,
                std::size_t held_out, Backend, Budget = {});
  std::vector<const MemoryPlan *> plans() const;

  std::size_t references;
  NoveltyJudge novelty;
  std::optional<QualityJudge> quality;
  LandscapeJudge landscape;
};

struct CompareTask {
  const Config &config;
  const NetworkShape &shape;
  Device device;
  Budget budget;
  const Dataset &data;
  const ZooReader &zoo;     // of the training and the held-out networks
  const ZooReader *samples; // of the generated ones; null: there are none
  std::filesystem::path scratch;
};

// training, held_out, generated, the zoos of eval.groups, and the baselines, each with all its figures
// (engine/analysis/) and its verdict against held_out.
std::vector<GroupReport> compare(const CompareTask &, Journal &);

} // namespace theta
