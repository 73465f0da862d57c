// How a flat vector of weights becomes the tokens that a transformer sees, and back: a list of places, so that every
// tokenizer has an exact inverse. Tokens of one type have one width, and an encoder and decoder of their own.
#pragma once
#include "engine/networks/network.h"
#include <functional>
#include <string>

namespace theta {

struct TokenType {
  std::string name;
  int count, width;
  bool exchangeable; // without places of their own: the model treats them alike
  std::size_t size() const { return std::size_t(count) * std::size_t(width); }
};

struct Tokens {
  std::vector<TokenType> types;
  std::vector<std::int32_t> place; // [size()]: which weight stands there, −1 for padding
  std::size_t size() const { return place.size(); }
  int count() const; // of all types

  void tokenise(float *tokens, const float *theta) const;   // padding becomes 0
  void detokenise(float *theta, const float *tokens) const; // padding is dropped
};

// What the tokenizers may ask of the networks. shape: none where the architecture is not known.
struct Tokenised {
  const std::vector<TensorPlace> &layout;
  std::optional<NetworkShape> shape;
  int chunk; // elements, for tokenizers that cut
};

// One of these, by name. neuron: a hidden unit's incoming weights and bias, and with one hidden layer its outgoing
// weights (then the outputs' biases are one more token, and units are exchangeable: their order is the function's
// symmetry); with more, outputs are units too, and each has its place, because the next layer's weights stand in this
// layer's order; of a convolutional network, channels are units. chunk: every tensor cut into pieces of `chunk`, never
// across tensors (Peebles et al., "G.pt", 2022). layer: a token a tensor (Erkoç et al., "HyperDiffusion", 2023). Throws
// InputError for another name, or for networks that the tokenizer cannot cut.
Tokens tokens_by(const std::string &tokenizer, const Tokenised &);

// Every tokenizer. To add one of your own: its function in a file of its own, and there the line
//   const bool added = theta::add_tokenizer("name", function);
using Tokenizer = std::function<Tokens(const Tokenised &)>;
const std::vector<std::pair<std::string, Tokenizer>> &tokenizers();
bool add_tokenizer(std::string name, Tokenizer); // true

} // namespace theta
