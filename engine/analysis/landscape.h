// The loss around networks, and what their layers are.
#pragma once
#include "curvature.h"
#include "novelty.h"

namespace theta {

// Of the first networks of a group:
//   barrier, raw_barrier   the most that the loss lies above the chord, on the straight line to the nearest training
//                          network, its units where they are nearest, or as they lie (Frankle et al., 2020; Entezari et
//                          al., 2022); series "line" and "raw_line": the mean loss along it, x from 0 (the
//                          network) to 1
//   hessian_top, hessian_trace   of the loss on some images (curvature.h): Lanczos's, Hutchinson's
// and series "tensor_norms": the mean norm of each tensor; "singular.LAYER": the mean singular values of each layer's
// weights [outputs, inputs].
class LandscapeJudge {
public:
  struct Sizes {
    std::size_t lines, hessians; // networks
    int images;                  // of the Hessian
  };
  LandscapeJudge(const NetworkShape &, Sizes);
  std::vector<const MemoryPlan *> plans() const;

  void lines(NoveltyJudge &, const JudgedGroup &, GroupReport &) const; // and layers
  void start(const Dataset &, const Images &part);                      // takes memory for
  void curvature(const JudgedGroup &, GroupReport &);

private:
  void line(NoveltyJudge &, const JudgedGroup &, bool aligned, GroupReport &) const;
  void layers(const JudgedGroup &, GroupReport &) const;

  NetworkShape shape_;
  Sizes sizes_;
  Layout layout_;
  std::optional<LossGradient> gradient_;
};

} // namespace theta
