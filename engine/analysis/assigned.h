// Distances between networks whose units have no places: balanced (weights/symmetry.h), and each pair's units assigned
// to one another so that the distance is least: exactly where there is one hidden layer, else by weight matching from
// several starts (weights/matching.h).
#pragma once
#include "engine/weights/matching.h"
#include "nearest.h"

namespace theta {

class AssignedDistance {
public:
  // Where units are matched, nearest() matches each network with `shortlist` references; 0: with all that may be
  // nearer.
  explicit AssignedDistance(const NetworkShape &, int starts = usual_starts, std::size_t shortlist = usual_shortlist);
  static constexpr int usual_starts = 4;
  static constexpr std::size_t usual_shortlist = 64;

  // Whether it is the least over all that leaves a network's function alone: not where units are matched, nor where
  // their signs and phases (tanh, sine) are chosen by each network's own largest weights before they are assigned.
  bool is_exact() const;
  std::size_t parameters() const { return parameters_; } // V

  // [networks, references] distances of networks in host memory, [·, V] each; infinite where one is not finite.
  std::vector<float> pairs(const std::vector<float> &networks, const std::vector<float> &references) const;

  // Of each network the `k` nearest references but itself, the nearest first, [networks, k]. Most pairs never meet: a
  // pair's distance is bounded from below by what its units would be apart if two might go to one place (the
  // assignment's rows and columns, reduced) and the elements that several groups move if each might go anywhere (both
  // sorted), and only where that is less than the best so far are they assigned. Exact where the distance is. Where
  // units are matched that leaves too many, and only those of the least bounds are: what is found is at least as far as
  // the nearest. A copy is found unless as many others have bounds below its distance. No references have an advantage.
  std::vector<Nearest> nearest(const NetworkSet &group, const NetworkSet &references, std::size_t k = 1,
                               const Skip & = {}) const;

  // Balances both, and brings `theta`'s units to where they are nearest to `reference`'s.
  void align(float *theta, float *reference) const;

private:
  struct Prepared; // balanced networks, as what bounds and assignments want
  struct Lanes;    // references, a lane each
  Prepared prepared(std::vector<float> networks) const;
  Lanes lanes_of(const Prepared &) const;
  void bounds(float *squared, const Prepared &, std::size_t network, const Lanes &) const;
  double squared_distance(const Prepared &, std::size_t i, const Prepared &, std::size_t j) const;

  struct Candidate; // a reference that may be the nearest of a network
  using Candidates = std::vector<Candidate>;
  void nearest_of(std::vector<Nearest> &best, const Prepared &, const std::vector<Candidates> &,
                  const NetworkSet &references) const;

  NetworkShape shape_;
  std::size_t parameters_;
  bool balances_;
  UnitMatcher matcher_;
  std::size_t shortlist_;
};

} // namespace theta
