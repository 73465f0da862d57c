// The settings of a flow: a generator that denoises weights, tokens of them, or what stands for them. Every key is
// described here once, whichever generators have it.
#pragma once
#include "engine/diffusion/solver.h"
#include "engine/generators/conditions.h"
#include "engine/generators/fit_recipe.h"
#include "engine/weights/normalizer.h"
#include "kernels/operations/units.h"
#include "weight_transformer.h"

namespace theta {

// Where training networks come from: the run's zoo, or a zoo without end of the same recipe.
enum class NetworkOrigin { zoo, stream };
NetworkOrigin network_origin_named(std::string_view name); // throws InputError
const char *name_of(NetworkOrigin);
ConditionWay condition_way_named(std::string_view name); // throws InputError
const char *name_of(ConditionWay);
PlaceKind place_kind_named(std::string_view name); // throws InputError
const char *name_of(PlaceKind);

// What counts in the loss: every element alike, or every tensor by the root of its size, so that the few biases of the
// outputs, on which all that a network says depends, are not lost among its weights; or every element by its effect, the
// root of the diagonal of the empirical Fisher information of networks that are learned, in units of its deviation.
enum class WeighBy { elements, tensors, effect };
WeighBy weigh_by_named(std::string_view name); // throws InputError
const char *name_of(WeighBy);

// Where networks come from, and what is done to them before they are noised.
struct FlowNetworkSettings {
  NetworkOrigin source = NetworkOrigin::zoo;
  int draws = 1;                 // of noise for each network of a batch, which then holds batch/draws networks
  std::string tokens = "neuron"; // a tokenizer of engine/weights/tokens.h
  int chunk = 1000;              // elements, for tokenizers that cut
  bool own_coders = false;       // an encoder and decoder for every token that is not exchangeable (G.pt)
  NormalizerKind normalizer = NormalizerKind::coordinate; // of the tokens; exchangeable ones share theirs
  // Equal norms, or phases and signs, of units (symmetry.h).
  bool balance = true;
  // Units where they are nearest to those of one network of the zoo, and then with places.
  bool align = false;
  // Units of hidden layers in a new random order at every step, and with random signs or scales.
  bool shuffle = false;
  UnitFactors factors;
  double augment = 0; // deviation of the noise that is added to networks at every step, in that of their elements
};

// The path between networks and noise, and what is learned of it.
struct FlowPath {
  NoiseSchedule noise = NoiseSchedule::logit_normal;
  Objective objective = Objective::velocity;
  WeighBy weigh_by = WeighBy::elements;
  bool own_noise =
      false; // each network keeps one noise, drawn once (DeepWeightFlow), in place of another at every step
  double noise_scale = 1; // deviation of the noise that generation begins with; 1 but for what is learned as velocities
};

struct FlowConditioning {
  std::vector<std::string> conditions; // conditions.h
  bool start = false;                  // a network of the same run, some steps earlier, is a condition
  bool residual = false;               // the model learns the difference from the start
  ConditionWay condition_by = ConditionWay::modulation;
  double drop = 0.1; // the share of networks without conditions, and of the rest, of each condition dropped
};

struct FlowBackbone {
  int width = 96, layers = 3, heads = 4, features = 64;
  PlaceKind places = PlaceKind::learned;
  bool qk_norm = false;
  bool attends = true; // else a network is one token, and the model a residual perceptron
  Arithmetic arithmetic = Arithmetic::fp32;
  bool plain = false; // of vectors: a plain perceptron (plain_perceptron.h), without conditions
  double dropout = 0; // of the plain one
};

struct FlowTraining {
  FitRecipe recipe{.steps = 4000, .batch = 64, .lr = 2e-3, .weight_decay = 0.01, .ema_decay = 0.999};
  long warmup = 200;
  double beta2 = 0.99;
  int accumulate = 1;     // parts of a batch, whose gradients are added up
  bool recompute = false; // blocks run again in the backward pass, in place of keeping what it needs
  bool fused = false;     // weights move as soon as their gradient is complete, and then it is gone
  long probe_every = 0;   // steps between looks at samples in training; 0: none
};

struct FlowConfig : FlowNetworkSettings, FlowPath, FlowConditioning, FlowBackbone, FlowTraining {};

// Those of its keys that a generator has, by name, in its order; "recipe" are those of FitRecipe. Throws Error for a name
// that is none.
void describe(Keys &, FlowConfig &, std::initializer_list<std::string_view> names);

// Of a residual perceptron on vectors: its keys, and their defaults.
void describe_perceptron(Keys &, FlowConfig &);
FlowConfig perceptron_flow();

// Its switches against memory that are not on (Generator::savings), as keys of `table`.
std::vector<std::string> savings_of(const FlowTraining &, Arithmetic, const std::string &table,
                                    bool accumulates = true);
// Throws InputError for a configuration that cannot be, naming its key in `table`.
void check(const FlowConfig &, const std::string &table);

} // namespace theta
