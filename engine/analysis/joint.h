// Good and new at once. A network may be good as a copy is, or new as noise is; what counts is how many are both.
#pragma once
#include "group_report.h"

namespace theta {

// What networks are measured by, fixed by trained ones before anything is generated.
struct JointBar {
  double accuracy = 0;                // a good network has as much, or more
  double spread = 0;                  // what two training networks are apart: the median distance to the nearest one
  double neighbours = Estimate::none; // the same if checkpoints of one's own run count, where there are such
  std::size_t compared = 0;           // training networks that distances are to
  static constexpr double times[] = {1, 2, 3, 4, 6};
};

// accuracy: `wanted`, or where that is 0 the q-quantile of the held-out networks' accuracies. spread: the median of
// `between`, distances from training networks to the nearest of another run; neighbours likewise of the training group's
// nearest_l2, where that is less. Where there is one run alone, `between` is empty and both are the latter.
JointBar joint_bar(const GroupReport &training, const GroupReport &held_out, const std::vector<float> &between,
                   std::size_t compared, double wanted, double q, const char *of = "accuracy");

// Series "joint": the share of the group's networks, broken ones among them, that are good and farther from all training
// networks that were compared with than x times the spread, with Wilson's intervals. Of the training group also the bar,
// as figures joint_bar, joint_spread and joint_neighbours. `of`: the value that says how good a network is.
void judge_joint(GroupReport &, const JointBar &, const char *of = "accuracy");

// Whether at x = 1 the group's share is below the baseline's, their intervals apart; if so, it stands in the reasons.
bool is_beaten_by(const GroupReport &baseline, GroupReport &group);

// The curves of all groups as a table; empty where none has one.
std::string joint_table(const std::vector<GroupReport> &, const char *of = "accuracy");

} // namespace theta
