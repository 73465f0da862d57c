// The weight transformer as a generator: how a zoo's networks become tokens, what the model learns of them and is told
// beside them, and its file.
#pragma once
#include "conditions.h"
#include "engine/diffusion/solver.h"
#include "engine/training/lr_schedule.h"
#include "engine/weights/normalizer.h"
#include "engine/weights/symmetry.h"
#include "pdiff.h"
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

  NoiseSchedule noise = NoiseSchedule::logit_normal;
  Objective objective = Objective::velocity;
  std::vector<std::string> conditions; // conditions.h
  bool start = false;                  // a network of the same run, some steps earlier, is told
  bool residual = false;               // the model learns the difference from the start
  ConditionWay condition_by = ConditionWay::modulation;
  double drop = 0.1; // the share of networks that are told nothing, and of the rest, of each condition left untold

  int width = 96, layers = 3, heads = 4, features = 64;
  PlaceKind places = PlaceKind::learned;
  bool qk_norm = false;
  FitRecipe recipe{.steps = 4000, .batch = 64, .lr = 2e-3, .weight_decay = 0.01, .ema_decay = 0.999};
  long warmup = 200;
  double beta2 = 0.99;
  int accumulate = 1;     // parts of a batch, whose gradients are added up
  bool recompute = false; // blocks run again in the backward pass, in place of keeping what it needs
  long probe_every = 0;   // steps between looks at samples in training; 0: none
  Arithmetic arithmetic = Arithmetic::fp32;
};

// Throws InputError for a configuration that cannot be, naming its key.
void check(const TransformerConfig &);

// What a generator must know of the networks that it learns.
struct NetworkFacts {
  std::vector<TensorPlace> layout;
  std::optional<NetworkShape> shape; // none: an architecture that theta does not know
};
NetworkFacts network_facts(const ZooFormat &, const std::string &where);

// Networks to tokens and back.
class TokenCoder {
public:
  TokenCoder(const TransformerConfig &, const NetworkFacts &); // throws InputError for networks that it cannot cut
  const Tokens &tokens() const { return tokens_; }
  bool has_padding() const;
  WeightTransformerShape shape(const TransformerConfig &) const;

  // Which elements share their mean and deviation: element e has those of element groups()[e].
  std::vector<std::size_t> groups() const;

  void encode(float *tokens, float *theta) const; // in host memory; theta [V] is balanced in place

  // The orders that bring networks' units to those of the first of `rows`, both balanced; empty where config.align is
  // not set. Some milliseconds a network of 64 units, on all cores.
  std::map<std::size_t, UnitOrders> orders(const ZooReader &, const std::vector<std::size_t> &rows) const;
  void align(float *theta, const UnitOrders &) const;

  // On the stream's device, theta [networks, V].
  void balance(Stream &, float *theta, int networks) const;
  // For gather_tokens: the configuration's random order and factors, network n's of stream first_stream + n; nothing
  // moves where it has none.
  UnitShuffle shuffle(std::uint64_t seed, std::uint32_t first_stream) const;

private:
  std::vector<TensorPlace> layout_;
  NormalizerKind normalizer_;
  std::optional<NetworkShape> balanced_, aligned_;
  UnitLayers shuffled_;
  UnitFactors factors_;
  Tokens tokens_;
};

// A trained one, in host memory.
struct Transformer {
  TransformerConfig config;
  ZooFormat networks;                 // what it generates
  std::vector<float> mean, std;       // [S], of the tokens' elements
  std::vector<ConditionRange> ranges; // of its conditions
  std::vector<float> weights;
};

// One self-contained file. Atomic. Throws Error.
void save_transformer(const std::filesystem::path &, const Transformer &, const std::string &key);
// Throws InputError where the file is damaged or another generator's.
Transformer load_transformer(const std::filesystem::path &);

} // namespace theta
