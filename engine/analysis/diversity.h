// Is a group as wide as the truth?
#pragma once
#include "novelty.h"

namespace theta {

// Of the first `networks` of a group, and of no more than there are held-out ones:
//   pairwise     mean distance between two of the group; series "pairwise": quantiles of it
//   pairwise_iou mean overlap of two networks' mistakes
//   coverage, mmd, one_nna   (point_sets.h) of the group and as many held-out networks: ½ of 1-NNA where nobody can
//   tell
//                            them apart; intervals: Wilson's, the bootstrap's over held-out networks
//   variance     trace of the covariance, units brought to where they are nearest to one network's
//   dimension    the covariance's participation ratio (Σλ)²/Σλ², of at most as many as there are networks
//   held_out_variance, held_out_dimension   of as many held-out networks
//   norm         (of each network) the Euclidean norm, balanced where distances are assigned
// and series "spectrum": the covariance's eigenvalues, the largest first. Intervals of variance and dimension are the
// delete-a-group jackknife's, of twenty groups.
class DiversityJudge {
public:
  DiversityJudge(std::size_t parameters, std::size_t networks) : parameters_(parameters), networks_(networks) {}

  // Of the held-out networks, before judge(); both need the NoveltyJudge's memory.
  void start(NoveltyJudge &, const JudgedGroup &held_out);
  void judge(NoveltyJudge &, const JudgedGroup &, GroupReport &) const;

private:
  std::vector<float> read(const NetworkSet &, std::size_t most) const; // the first of them
  std::vector<double> gram(const NoveltyJudge &, std::vector<float> networks) const;

  std::size_t parameters_, networks_;
  std::vector<float> held_out_;
  std::vector<double> within_held_out_, held_out_gram_; // [m, m]
  std::vector<std::size_t> held_out_source_;
};

} // namespace theta
