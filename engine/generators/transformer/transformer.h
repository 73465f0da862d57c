// The weight transformer whole: its settings, what a trained one is, and its file.
#pragma once
#include "engine/diffusion/solver.h"
#include "engine/generators/conditions.h"
#include "engine/generators/fit_recipe.h"
#include "engine/generators/generator_file.h"
#include "engine/weights/normalizer.h"
#include "engine/weights/symmetry.h"
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
// outputs, on which all that a network says depends, are not lost among its weights.
enum class WeighBy { elements, tensors };
WeighBy weigh_by_named(std::string_view name); // throws InputError
const char *name_of(WeighBy);

struct TransformerConfig {
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

  NoiseSchedule noise = NoiseSchedule::logit_normal;
  Objective objective = Objective::velocity;
  WeighBy weigh_by = WeighBy::elements;
  std::vector<std::string> conditions; // conditions.h
  bool start = false;                  // a network of the same run, some steps earlier, is a condition
  bool residual = false;               // the model learns the difference from the start
  ConditionWay condition_by = ConditionWay::modulation;
  double drop = 0.1; // the share of networks without conditions, and of the rest, of each condition dropped

  // Deviation of the noise that generation begins with; 1 but for what is learned as velocities.
  double noise_scale = 1;
  bool attends = true; // else a network is one token, and the model a residual perceptron

  int width = 96, layers = 3, heads = 4, features = 64;
  PlaceKind places = PlaceKind::learned;
  bool qk_norm = false;
  FitRecipe recipe{.steps = 4000, .batch = 64, .lr = 2e-3, .weight_decay = 0.01, .ema_decay = 0.999};
  long warmup = 200;
  double beta2 = 0.99;
  int accumulate = 1;     // parts of a batch, whose gradients are added up
  bool recompute = false; // blocks run again in the backward pass, in place of keeping what it needs
  bool fused = false;     // weights move as soon as their gradient is complete, and then it is gone
  long probe_every = 0;   // steps between looks at samples in training; 0: none
  Arithmetic arithmetic = Arithmetic::fp32;
};

// The settings of [fit.transformer].
void describe(Keys &, TransformerConfig &);
// Those of them that say how it is trained; the last of its table.
void describe_training(Keys &, TransformerConfig &);
// Those of them that a residual perceptron has, in another generator's table, and their defaults.
void describe_flow(Keys &, TransformerConfig &);
TransformerConfig flow_config();
// Its switches against memory that are not on (Generator::savings), as keys of `table`.
std::vector<std::string> savings_of(const TransformerConfig &, const std::string &table, bool accumulates = true);
// Throws InputError for a configuration that cannot be, naming its key in `table`.
void check(const TransformerConfig &, const std::string &table = "fit.transformer");

// A trained one, in host memory.
struct Transformer {
  TransformerConfig config;
  ZooFormat networks;                 // what it generates
  std::vector<float> mean, std;       // [S], of the tokens' elements
  std::vector<ConditionRange> ranges; // of its conditions
  std::vector<float> weights;
};

// What a training has found: of each architecture, mean and deviation of its tokens' elements; the conditions' ranges.
struct Learned {
  struct Scale {
    std::vector<float> mean, std;
  }; // [S]
  std::vector<Scale> tokens;
  std::vector<ConditionRange> ranges;
  std::vector<float> weights;
};

// One that was trained on networks of one format.
Transformer transformer_of(const TransformerConfig &, const ZooFormat &, const Learned &);

// Its tensors in a file, their names after `prefix`; and back, into one whose config and networks are known already,
// where `where` names the file. Throws InputError where one is missing.
std::vector<TensorSource> tensors_of(const Transformer &, const std::string &prefix = "");
void read_tensors(Transformer &, const Safetensors &, const std::string &prefix = "");

// One self-contained file. Atomic. Throws Error.
void save_transformer(const std::filesystem::path &, const Transformer &, const Stamp &);
// Throws InputError where the file is damaged or another generator's.
Transformer load_transformer(const std::filesystem::path &);

} // namespace theta
