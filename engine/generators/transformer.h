// The weight transformer as a generator: how a zoo's networks become tokens, the model, and how it is trained; and its
// file. Networks are balanced (symmetry.h), tokenised, standardised, and learned by flow matching.
#pragma once
#include "engine/training/lr_schedule.h"
#include "pdiff.h"
#include "weight_transformer.h"

namespace theta {

struct TransformerConfig {
  std::string tokens = "neuron"; // a tokenizer of engine/weights/tokens.h
  int chunk = 1000;              // elements, for tokenizers that cut
  bool balance = true;           // perceptrons: equal norms or signs of units (symmetry.h)
  int width = 96, layers = 3, heads = 4, features = 64;
  FitRecipe recipe{.steps = 4000, .batch = 64, .lr = 2e-3, .weight_decay = 0.01, .ema_decay = 0.999};
  long warmup = 200;
  double beta2 = 0.99;
  Arithmetic arithmetic = Arithmetic::fp32;
};

// What a generator must know of the networks that it learns.
struct NetworkFacts {
  std::vector<TensorPlace> layout;
  std::optional<NetworkShape> shape; // none: an architecture that theta does not know
};
NetworkFacts network_facts(const ZooFormat &, const std::string &where);

// Networks to tokens and back, in host memory.
class TokenCoder {
public:
  TokenCoder(const TransformerConfig &, const NetworkFacts &); // throws InputError for networks that it cannot cut
  const Tokens &tokens() const { return tokens_; }
  WeightTransformerShape shape(const TransformerConfig &) const;
  void encode(float *tokens, float *theta) const; // theta [V] is balanced in place
  void decode(float *theta, const float *tokens) const { tokens_.detokenise(theta, tokens); }

private:
  std::optional<NetworkShape> balanced_;
  Tokens tokens_;
};

// A trained one, in host memory.
struct Transformer {
  TransformerConfig config;
  ZooFormat networks;           // what it generates
  std::vector<float> mean, std; // [S], of the tokens' elements; exchangeable tokens share theirs
  std::vector<float> weights;
};

// One self-contained file. Atomic. Throws Error.
void save_transformer(const std::filesystem::path &, const Transformer &, const std::string &key);
// Throws InputError where the file is damaged or another generator's.
Transformer load_transformer(const std::filesystem::path &);

} // namespace theta
