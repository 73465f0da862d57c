// How a zoo's networks become the tokens that the weight transformer sees, and what it may do to them on the way.
#pragma once
#include "config.h"
#include "data/zoo_reader.h"
#include "engine/generators/network_facts.h"
#include "engine/weights/matching.h"
#include "engine/weights/tokens.h"
#include <map>

namespace theta {

// Networks to tokens and back.
class TokenCoder {
public:
  TokenCoder(const FlowConfig &, const NetworkFacts &); // throws InputError for networks that it cannot cut
  // With tokens that are cut already; elements of one number in `groups` share their mean and deviation, in all the
  // coders of one training.
  TokenCoder(const FlowConfig &, const NetworkFacts &, Tokens, std::vector<std::size_t> groups);
  const Tokens &tokens() const { return tokens_; }
  // Of codes as categories: of each element that is one, that of its second number, which is padding; −1 of others. Empty
  // where codes are numbers, or there are none.
  const std::vector<std::int32_t> &seconds() const { return seconds_; }
  int most_code() const { return most_code_; } // of codes −most..most
  bool has_padding() const;
  WeightTransformerShape shape(const FlowConfig &) const;

  std::size_t parameters() const { return layout_.back().offset + elements_of(layout_.back()); } // V
  // Which elements share their mean and deviation: those of one number; by another normaliser, which would. By
  // coordinate, those that exchangeable tokens have alike.
  std::vector<std::size_t> groups() const { return groups(normalizer_); }
  std::vector<std::size_t> groups(NormalizerKind) const;

  // How much each element counts where tensors do by the root of their size; 1 on average, 0 for padding.
  std::vector<float> tensor_weights() const;

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
  void balance_as(const NetworkShape &);
  std::vector<TensorPlace> layout_;
  NormalizerKind normalizer_;
  struct Balance {
    NetworkShape shape;
    UnitLayers layers;
    UnitBalance kind;
    int passes;
  };
  std::optional<Balance> balanced_;
  std::optional<NetworkShape> aligned_;
  UnitLayers shuffled_;
  UnitFactors factors_;
  void widen_for_codes(const NetworkShape &coded);
  Tokens tokens_;
  std::vector<std::int32_t> seconds_;
  int most_code_ = 0;
  std::vector<std::size_t> groups_; // empty: as the tokens say
};

} // namespace theta
