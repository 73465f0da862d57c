// What networks' probabilities are worth: calibration, ensembles, and how differently they answer.
#pragma once
#include "baselines.h"
#include "engine/memory/arena.h"
#include "engine/zoo/evaluator.h"
#include "group_report.h"

namespace theta {

// The expected calibration error (Naeini et al., 2015; Guo et al., 2017): over `bins` equal bins (low, high] of the
// largest probability, Σ share·|accuracy − mean largest probability|.   probabilities [n, classes], label [n].
double expected_calibration_error(const std::vector<float> &probabilities, const std::vector<std::uint8_t> &label,
                                  int classes, int bins = 15);

// Of the first networks of a group, at most `members`:
//   ece           (of each) calibration
//   disagreement  (of each) the share of images that it and the training network nearest to it answer differently
//   disagreement_tenth, pairwise_disagreement   the tenth percentile of that; the mean over two of the group
//   ensemble_gain what sixteen averaged are more accurate than one; and series "ensemble": x members whose probabilities
//                 are averaged, y their mean accuracy over some random choices, between the choices' quantiles.
// An ensemble's gain over one network is what the group's diversity pays.
class QualityJudge {
public:
  QualityJudge(const NetworkShape &, std::size_t images, int wave, std::size_t members, Backend, Budget = {});
  const MemoryPlan &plan() const { return plan_; }
  void start(Device, const Dataset &, const Images &part);
  // nearest: of each of the group, the training network nearest to it.
  void judge(const NetworkSet &sound, const NetworkSet &nearest, GroupReport &);
  void stop() { arena_.reset(), stream_.reset(); } // gives the memory back

private:
  // The probabilities of the first networks, at most members_, into memory; and their answers, [n, images].
  std::vector<std::uint8_t> ask(const NetworkSet &);
  std::size_t members_;
  int classes_;
  Evaluator evaluator_;
  MemoryPlan plan_{"eval.quality", "eval.wave"};
  Tensor<float> staging_;       // [V], in host memory
  Tensor<float> probabilities_; // [members, images, classes], in host memory
  std::vector<std::uint8_t> label_;
  std::unique_ptr<Stream> stream_;
  std::unique_ptr<Arena> arena_;
};

} // namespace theta
