// Distances between networks of one hidden layer whose units have no places: balanced (symmetry.h), and each pair's
// units assigned to one another so that the distance is least (an exact assignment).
#pragma once
#include "engine/weights/tokens.h"

namespace theta {

class UnitDistance {
public:
  // Throws InputError for networks that have not one hidden layer.
  explicit UnitDistance(const NetworkShape &);
  static void check(const NetworkShape &);

  // [networks, references] distances of networks in host memory, [·, V] each.
  std::vector<float> operator()(const std::vector<float> &networks, const std::vector<float> &references) const;

private:
  std::vector<float> prepared(const std::vector<float> &networks) const; // as tokens, units first

  NetworkShape shape_;
  Tokens tokens_;
};

} // namespace theta
