// The nearest of many vectors to each of some: networks' weights, or pictures.
#pragma once
#include "baselines.h"
#include "engine/memory/plan.h"
#include "statistics.h"

namespace theta {

struct Nearest {
  float distance = 0; // L2
  std::size_t index = 0;
};

// The share of a group that is nearer to one set than to another, ties half: of each the nearest in both.
Share share_nearer(const std::vector<Nearest> &to_one, const std::vector<Nearest> &to_another);

class NearestSearch {
public:
  // Of vectors of `length` numbers: some hundreds of a group, and as many references, at a time.
  explicit NearestSearch(std::size_t length, const std::string &stage = "eval.nearest");
  const MemoryPlan &plan() const { return plan_; }

  // For each of `group` the nearest of `references` but the vector itself: where both are rows of one zoo, the row of
  // the same number. Throws Error where there is none.
  std::vector<Nearest> run(Device, const NetworkSet &group, const NetworkSet &references) const;

private:
  static constexpr std::size_t at_once = 512;
  std::size_t length_;
  MemoryPlan plan_;
  Tensor<float> staging_;                                  // [length], in host memory
  Tensor<float> group_, reference_, distance_, workspace_; // [at once, length] twice, [at once, at once]
};

// Vectors [count, length] in memory, which must live as long.
NetworkSet vectors_of(const std::vector<float> &, std::size_t length);

} // namespace theta
