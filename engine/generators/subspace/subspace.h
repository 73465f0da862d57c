// The subspace generator (DeepWeightFlow's recipe, 2026): K networks span at most K − 1 directions, so a generator of
// the coefficients along them is small whatever V is. Networks, aligned where they can be, are centred; their principal
// directions are exact (engine/weights/principal.h); a flow of a residual perceptron learns the coefficients
//   c[k] = ⟨θ − mean, direction[k]⟩ / deviation[k]^power
// and θ = mean + Σ c[k]·deviation[k]^power·direction[k]. It can only make combinations of what it saw.
#pragma once
#include "engine/generators/draft.h"
#include "engine/generators/flow/trained.h"

namespace theta {

struct SubspaceConfig {
  int directions = 0;   // of the largest variance; 0: all that there are
  double power = 0;     // 0: coefficients as they are; 1: all of one deviation
  bool balance = false; // norms, or phases and signs, of units made equal first (symmetry.h)
  bool align = false;   // units where they are nearest to those of the first network
  FlowConfig flow = perceptron_flow();
};

void describe(Keys &, SubspaceConfig &); // the settings of [fit.subspace]

// What a trained one has in host memory: everything but the directions, which stay in its file, [d, V], with the mean.
struct Subspace {
  SubspaceConfig config;
  ZooFormat networks;
  std::vector<float> scale; // [d]: deviation^power
  TrainedFlow flow;         // of vectors of d coefficients
};

inline constexpr const char *subspace_scale = "subspace.scale", *subspace_mean = "subspace.mean",
                            *subspace_directions = "subspace.directions", *subspace_flow = "flow.";

// A zoo of coefficients: one tensor, "coefficients", of d.
ZooFormat coefficients_format(int directions);

// The file of one whose numbers are still to be learned; only their sizes are used.
GeneratorDraft draft_of(const std::filesystem::path &, const Subspace &, const Stamp &, bool anew);

// Projects networks onto the directions, balanced and aligned to `first`, the first that was learned, where the generator
// does so. Empty above a GiB of directions.
std::function<void(float *theta)> projection(const std::filesystem::path &, const NetworkFacts &,
                                             std::vector<float> first);

// Throws InputError where the file is damaged or another generator's.
Subspace load_subspace(const std::filesystem::path &);

} // namespace theta
