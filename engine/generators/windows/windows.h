// The generator whose memory does not grow with V: a network is a sequence of tokens of `chunk` parameters, in the
// order of its vector (the last one filled up with zeros). A recurrence conditions each token on those before
// it (recurrence.h), and one small flow, shared by all, makes the token from noise (the weight transformer with one
// token):
//   p(θ) = Π p(token[t] | context(token[0..t−1], t))
// It is trained on windows of some tokens, and sampled token by token into the shard.
#pragma once
#include "engine/generators/draft.h"
#include "engine/generators/flow/trained.h"
#include "recurrence.h"

namespace theta {

struct WindowsConfig {
  int chunk = 1024; // parameters of a token
  int window = 16;  // tokens: how many are trained on at a time, and are held of a sample before they are written
  int state = 256, blocks = 2; // of the recurrence
  double input_noise = 0.1;    // on the tokens before, in training: what is generated is not exact either
  NormalizerKind normalizer = NormalizerKind::coordinate;
  FlowConfig flow = perceptron_flow();

  RecurrenceShape recurrence() const;
  WeightTransformerShape token_flow() const;
  std::size_t tokens(std::size_t parameters) const; // of a network
};

void describe(Keys &, WindowsConfig &); // the settings of [fit.windows]
void check(const WindowsConfig &);      // throws InputError

// What a trained one has in host memory: everything but the coordinates' means and deviations, which stay in its file.
struct Windows {
  WindowsConfig config;
  ZooFormat networks;
  std::vector<float> recurrence, flow; // parameters
};

// Means and deviations of parameters: of every one of [V], or of the tensors, or one of all.
inline constexpr const char *windows_mean = "normalizer.mean", *windows_std = "normalizer.std";
std::size_t statistics_of(const WindowsConfig &, const ZooFormat &); // how many there are

// The file of one whose numbers are still to be learned.
GeneratorDraft draft_of(const std::filesystem::path &, const Windows &, const Stamp &, bool anew);
std::vector<TensorSource> tensors_of(const Windows &);
// Throws InputError where the file is damaged or another generator's.
Windows load_windows(const std::filesystem::path &);

} // namespace theta
