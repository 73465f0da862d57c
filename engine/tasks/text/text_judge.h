// What language models are worth, and whether they are new. Of each: bits, of a character of the mixture that it is judged
// by; gain, how many of them less than the trunk's. Of a group, beside networks that were trained on the same mixtures:
//   gain_pure, gain_mixed  its gain over theirs, of those told one class alone, and of the others
//   told_first             the share of the former whose class gains most
//   variance               of networks told the same class alone, over seeds; spread: that over theirs
//   memorised              the share nearer to a seen network than to any of as many control ones
// Distances and variances of changes of low rank are those of the products B·A, which are what acts.
#pragma once
#include "engine/memory/arena.h"
#include "engine/zoo/evaluator.h"
#include "text_rows.h"

namespace theta {

class TextJudge {
public:
  TextJudge(const NetworkShape &, const DatasetSizes &, int wave, Backend);
  const MemoryPlan &plan() const { return plan_; }

  // Binds memory, looks at that part of the text, and at the trunk's own bits, where networks are branches of one.
  void start(Device, const Characters &part, const EvalWork &, const TextRows &);
  // Networks and what each is judged by; `asked` is the report of the held-out networks of the same mixtures (of itself
  // while it is made). The training group, which nobody asked for, has no gain over others and no memory.
  GroupReport judge(const std::string &name, const NetworkSet &, const Mixtures &, const GroupReport *asked);

  // Bits of a character of every class, [networks, classes].
  std::vector<float> bits(const NetworkSet &, std::vector<char> &broken);

private:
  NetworkSet acting(const NetworkSet &) const; // as distances are taken of them
  std::vector<float> variances(const NetworkSet &, const Mixtures &) const;

  NetworkShape shape_, acting_;
  Evaluator evaluator_;
  MemoryPlan plan_{"eval", "eval.wave"};
  Tensor<float> staging_; // [V], in host memory
  std::unique_ptr<Stream> stream_;
  std::unique_ptr<Arena> arena_;
  std::vector<float> trunk_; // bits, [classes]; empty: there is none
  NetworkSet seen_, control_;
};

} // namespace theta
