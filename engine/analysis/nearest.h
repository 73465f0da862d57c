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

// Whether vector i of the group and reference j are not to be compared. Called from several threads.
using Skip = std::function<bool(std::size_t i, std::size_t j)>;

// What stands where none has been found: infinitely far, one beyond the last.
Nearest no_nearest(const NetworkSet &references);
// Takes another one among the `k` nearest so far, sorted; of equals the first.
void keep_nearest(Nearest *nearest, std::size_t k, Nearest another);

// The share of a group that is nearer to one set than to another, ties half: of each the nearest in both.
Share share_nearer(const std::vector<Nearest> &to_one, const std::vector<Nearest> &to_another);

// Of plain distances.
class NearestSearch {
public:
  // Of vectors of `length` numbers: some hundreds of a group, and as many references, at a time, or as many as the
  // budget leaves room for; what is found does not depend on it.
  explicit NearestSearch(std::size_t length, const std::string &stage = "eval.nearest", Budget = {},
                         Backend = Backend::cpu);
  const MemoryPlan &plan() const { return plan_; }

  // Of each of `group` the `k` nearest of `references` but the vector itself, the nearest first, [group, k]. Throws
  // Error where there is none, unless something is skipped.
  std::vector<Nearest> run(Device, const NetworkSet &group, const NetworkSet &references, std::size_t k = 1,
                           const Skip & = {}) const;

private:
  struct AtOnce {
    int vectors;
  };
  NearestSearch(std::size_t length, const std::string &stage, AtOnce);

  std::size_t length_, at_once_;
  MemoryPlan plan_;
  Tensor<float> staging_;                                  // [2, length], in host memory
  Tensor<float> group_, reference_, distance_, workspace_; // [at once, length] twice, [at once, at once], [2, at once]
};

// `skip`, and a vector itself, where both sets are rows of one zoo: the row of the same number.
Skip and_itself(const Skip &, const NetworkSet &group, const NetworkSet &references);

// Vectors [count, length] in memory, which must live as long.
NetworkSet vectors_of(const std::vector<float> &, std::size_t length);

} // namespace theta
