// Samples that are fields, a part of whose signals is given: sample.complete = "top". Each completes a held-out signal.
#pragma once
#include "data/zoo_reader.h"
#include "engine/analysis/baselines.h"
#include "engine/analysis/statistics.h"
#include "field_guide.h"

namespace theta {

// A half of the signals' points (left and right of a picture; above and below), or one in four of them, anywhere.
// Throws InputError for another word.
bool is_given(const std::string &part, const float *point, int dimensions, std::size_t index);
void check_part(const std::string &part);

struct Completion {
  std::vector<std::size_t> given, hidden; // points
  std::vector<std::size_t> signals;       // of samples 0, 1, ...
};
// Of `count` samples: held-out signals, one after another in a random order.
Completion completion_of(const std::string &part, std::size_t count, std::uint64_t seed, const Dataset &,
                         const ZooReader &, const std::vector<std::size_t> &held_out);

// Of samples in batches of `batch`. Signals as training has them; none: of so many points, to plan with.
FieldGuide guide_of(const std::string &part, int batch, const NetworkShape &, const std::vector<float> &points,
                    const Dataset *, const std::vector<std::size_t> &signals);

// Decibels of each sample where its signal was given and where it was hidden, and of the training signal that is
// nearest where it is given, at the hidden points.
struct CompletionReport {
  std::vector<float> given, hidden, nearest;
};
CompletionReport judge_completion(const Completion &, const NetworkShape &, Device, const Dataset &,
                                  const ZooReader &samples, const std::vector<std::size_t> &training_signals);
void write_completion(const std::filesystem::path &, const CompletionReport &);
std::string text_of(const CompletionReport &);

} // namespace theta
