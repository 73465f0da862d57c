// Is a network a combination of others? How far it lies from what K of them span.
#pragma once
#include "engine/memory/plan.h"
#include "novelty.h"

namespace theta {

// Of a point and K others, [K, V] less the point: the least distance from the origin to their convex hull, by Wolfe's
// algorithm ("Finding the nearest point in a polytope", 1976), and to their affine hull; both from the Gram matrix of
// the K differences, [K, K].
double distance_to_hull(const std::vector<double> &gram, std::size_t k);
double distance_to_span(const std::vector<double> &gram, std::size_t k);

// Of the first `networks` of a group and their K nearest training networks:
//   hull      how far it is from their convex hull within what they span, over the distance to the nearest: averages
//             have 0. Units are brought to where they are nearest to the network's.
//   span      its distance to their affine hull, over that to their mean: what lies in a subspace that they span has 0.
//             Units of all are brought to where they are nearest to those of the judge's reference.
//   raw_span  where distances are assigned: the same of networks as they lie
// A network that is itself among them is left out. K is `closest`, V/4 or what there is, whichever is least.
class HullJudge {
public:
  HullJudge(std::size_t parameters, std::size_t networks, std::size_t closest);
  void judge(const NoveltyJudge &, const JudgedGroup &, GroupReport &) const;

private:
  enum class Units { at_network, at_reference, as_they_lie };
  std::vector<double> differences(const NoveltyJudge &, const float *network, const std::vector<Nearest> &, Units,
                                  const std::vector<float> &reference) const;

  std::size_t parameters_, networks_, closest_;
};

} // namespace theta
