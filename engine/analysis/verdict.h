// What a group of networks is, in a word or two, from stated rules.
#pragma once
#include "group_report.h"

namespace theta {

// What a verdict has to know of the comparison.
struct Comparison {
  std::size_t references = 0, training = 0; // training networks that were compared with, of so many
  bool assigned = false, exact = false;     // distances: after the assignment of units; that of the best
  const char *truth = "held-out networks";  // what the other group is
  const char *of_each = "accuracy";         // the value that every network has which is not broken
};

// The group beside is called held-out here, be it all of them or those that have what was asked for. A network is called
// closer, of some value, where it is below the held-out group's r-th least, r = max(1, m/100) of m
// held-out networks: it happens to an honest one with a chance of about r/m, and of no more than the upper end of
// Wilson's interval of r in m. A group is called so where the lower end of its share's interval is above one half;
// where no such word fits, it is called so in part where that is above the chance. In this order:
//   copies        closer by nearest_ratio (one training network is much nearer than any other), and memorised above ½
//   averages      closer by hull: deep in the convex hull of training networks
//   combinations  closer by span or raw_span: in a subspace that training networks span
//   narrower      variance or dimension below the held-out group's, their intervals apart
//   remembers     memorised, or memorised_images, above ½
//   new           none of these
// Intervals are 95 %; what is called narrower, wider, better or worse has one that does not meet the other. Appends the
// reasons, and what the comparison cannot tell, to group.reasons; sets group.verdict, and figures "closer_by_NAME" and
// "near", the share closer by nearest_l2.
void judge_group(GroupReport &group, const GroupReport &held_out, const Comparison &);

// Of baselines named noise_*, in the first of them: series "frontier", their mean max_iou against accuracy. Of the
// other groups: figure "beyond_noise", the share of networks that are less alike to training networks than copies with
// noise that are as accurate, of those that are as accurate as any such copies.
void judge_frontier(std::vector<GroupReport> &);

} // namespace theta
