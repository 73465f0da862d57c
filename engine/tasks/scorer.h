// Losses and accuracies of networks on images that they share, of one set of networks after another.
#pragma once
#include "engine/zoo/evaluator.h"

namespace theta {

class Scorer {
public:
  // `wave` networks at a time, or as many as are within the budget.
  Scorer(const NetworkShape &, std::size_t images, int wave, Backend, Budget);
  Scorer(const Scorer &) = delete;
  const MemoryPlan &plan() const { return plan_; }

  // An evaluator that looks at `part`, and [V] in host memory, while `work` goes on.
  void with(Device, const Dataset &, const Images &part,
            const std::function<void(Stream &, Evaluator &, float *staging)> &work);
  // And which of the networks are broken.
  std::pair<Scores, std::vector<char>> score(Device, const Dataset &, const Images &part, std::size_t networks,
                                             const NetworkOf &);

private:
  Evaluator evaluator_;
  MemoryPlan plan_{"sample.scores", "eval.wave"};
  Tensor<float> staging_;
};

} // namespace theta
