// What networks are told by example, of fit.shown mini-batches. In the zoo's folder, for all runs that have it:
//   shown/          a zoo: of each of its networks the gradient of what it is shown (zoo/shown.h); columns run, and plain_0,
//                   ... of what is simplest to say of the examples (TrainingPart::summary)
//   shown/trained/  a zoo: what Adam makes of the same examples, each mini-batch once, at the best of three learning rates for
//                   each network; columns run, lr
// A generator has learned, of the networks that it sees, where training ends that begins with such gradients
// (engine/weights/by_gradient.h): to look at examples. Samples are drawn about that.
#pragma once
#include "engine/weights/by_gradient.h"
#include "member.h"

namespace theta {

inline constexpr const char *trained_on_shown = "trained";

// Throws InputError where there is nothing of this configuration in the zoo's folder.
void check_shown(Member &, const char *stage);

// Learns it of the rows that a generator sees, and writes it beside the generator. ByGradient::explained.
double learn_to_look(Member &, const std::vector<std::size_t> &training, const std::string &key);

class Looking {
public:
  explicit Looking(Member &);                       // throws InputError where this run's generator has not learned it
  void at_row(std::size_t row, float *theta) const; // what is shown to a row of the zoo -> [V]
  // A text of the user's own. Throws InputError where it is not there, or too short.
  std::vector<float> at_text(const std::filesystem::path &) const;

private:
  void look(const std::vector<float> &gradient, float *theta) const;
  Member &member_;
  std::vector<float> start_;
  std::optional<ByGradient> learned_;
  ZooReader shown_;
};

} // namespace theta
