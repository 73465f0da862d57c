// Groups of classifiers, judged beside one another by what they get right and wrong, and by their weights.
#pragma once
#include "engine/analysis/hull.h"
#include "engine/analysis/landscape.h"
#include "engine/analysis/quality.h"
#include "engine/analysis/recount.h"
#include "engine/tasks/groups.h"

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
  std::unique_ptr<Recount> recount; // where the evaluation asks for it
};

// training, held_out, generated, the zoos of eval.groups, and the baselines, each with all its figures
// (engine/analysis/) and its verdict against held_out. Throws Interrupted.
std::vector<GroupReport> compare(const EvalWork &, Journal &);

// Of accuracy and novelty, and the verdicts with their reasons.
std::string table_of(const std::vector<GroupReport> &);

} // namespace theta
