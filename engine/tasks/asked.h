// What samples were asked for, and what beside them has it: held-out networks, with which alone they are compared fairly,
// and the two simplest answers, the training network that has it best and a straight line through all of them.
#pragma once
#include "engine/analysis/baselines.h"

namespace theta {

// A number counts by its place among the training networks, 0 to 1, a label by itself.
class Asked {
public:
  // From the columns told_NAME of the samples; those of which the zoo says nothing do not count.
  Asked(const ZooReader &zoo, const std::vector<std::size_t> &training, const ZooReader &samples);

  bool is_something() const { return !told_.empty(); }
  std::string text(double width) const;                   // for people
  std::size_t prompts() const { return prompts_.size(); } // that differ

  // Of `rows` those that have what a sample was asked for: every number within `width`, every label.
  struct Having {
    std::vector<std::size_t> rows; // at most as many for a prompt as samples were asked for it, and none twice
    std::size_t in_all;            // rows that have it
  };
  Having having(const std::vector<std::size_t> &rows, std::size_t most, double width, std::uint64_t seed) const;

  // For the first `count` samples: of the training networks the one whose facts are nearest to what was asked for; for
  // the next sample of the same prompt the next.
  NetworkSet retrieved(std::size_t count) const;
  // The straight line from facts to weights, by ridge regression on `most` training networks, brought to the first of
  // them where there is something that does so; facts are scaled to deviations of one.
  NetworkSet regressed(std::size_t count, std::uint64_t seed, std::size_t most, const Meet &) const;

private:
  struct Told {
    std::string name;
    bool is_label;
    std::vector<float> of_row;    // of every row of the zoo
    std::vector<float> of_sample; // of every sample
  };
  const ZooReader &zoo_;
  const std::vector<std::size_t> &training_;
  std::vector<Told> told_;
  std::vector<std::size_t> prompt_of_sample_;
  std::vector<std::size_t> prompts_;                       // the first sample of each
  double apart(std::size_t sample, std::size_t row) const; // infinite where a label differs
};

} // namespace theta
