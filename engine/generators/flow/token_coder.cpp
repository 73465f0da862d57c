#include "token_coder.h"
#include "engine/networks/coded.h"
#include "engine/networks/kind.h"
#include "engine/weights/symmetry.h"
#include "kernels/device/parallel.h"
#include "kernels/operations/units.h"
#include <algorithm>
#include <cmath>

namespace theta {

TokenCoder::TokenCoder(const FlowConfig &c, const NetworkFacts &facts)
    : layout_(facts.layout), normalizer_(c.normalizer),
      tokens_(tokens_by(c.tokens, {facts.layout, facts.shape, c.chunk})) {
  for (const auto &[key, wanted] : {std::pair{"shuffle", c.shuffle}, {"align", c.align}})
    if (wanted && !facts.shape)
      throw InputError(key, ": found true, expected false for an unknown architecture");
  if (facts.shape && codes_of(*facts.shape) == CodesAs::categorical)
    widen_for_codes(*facts.shape);
  if (c.balance && facts.shape)
    balance_as(*facts.shape);
  if (c.shuffle) {
    check_factors(*facts.shape, c.factors);
    shuffled_ = unit_layers(*facts.shape), factors_ = c.factors;
  }
  if (c.align) {
    aligned_ = facts.shape;
    for (TokenType &type : tokens_.types)
      type.exchangeable = false; // units have their places now
  }
  if (!c.own_coders)
    return;
  std::vector<TokenType> types;
  for (const TokenType &type : tokens_.types)
    for (int i = 0; i < (type.exchangeable ? 1 : type.count); ++i)
      types.push_back({type.name, type.exchangeable ? type.count : 1, type.width, type.exchangeable});
  tokens_.types = std::move(types);
}

TokenCoder::TokenCoder(const FlowConfig &c, const NetworkFacts &facts, Tokens tokens, std::vector<std::size_t> groups)
    : layout_(facts.layout), normalizer_(c.normalizer), tokens_(std::move(tokens)), groups_(std::move(groups)) {
  if (facts.shape && codes_of(*facts.shape) == CodesAs::categorical)
    throw InputError("fit.codes: found categorical, expected weights or ordinal for this generator");
  if (c.balance && facts.shape)
    balance_as(*facts.shape);
}

// Every token gets room for a second number of each of its codes, behind its elements.
void TokenCoder::widen_for_codes(const NetworkShape &coded) {
  const auto is_code = code_places(coded);
  Tokens wide;
  std::size_t from = 0;
  for (const TokenType &type : tokens_.types) {
    int most = 0; // codes in a token
    const auto codes_in = [&](int token) {
      int codes = 0;
      for (int e = 0; e < type.width; ++e) {
        const std::int32_t place = tokens_.place[from + std::size_t(token * type.width + e)];
        codes += place >= 0 && is_code[std::size_t(place)];
      }
      return codes;
    };
    for (int token = 0; token < type.count; ++token)
      most = std::max(most, codes_in(token));
    for (int token = 0; token < type.count; ++token, from += std::size_t(type.width)) {
      const std::size_t at = wide.place.size();
      wide.place.insert(wide.place.end(), tokens_.place.begin() + std::ptrdiff_t(from),
                        tokens_.place.begin() + std::ptrdiff_t(from) + type.width);
      wide.place.resize(at + std::size_t(type.width + most), -1);
      seconds_.resize(wide.place.size(), -1);
      std::size_t next = at + std::size_t(type.width);
      for (int e = 0; e < type.width; ++e)
        if (const std::int32_t place = tokens_.place[from + std::size_t(e)]; place >= 0 && is_code[std::size_t(place)])
          seconds_[at + std::size_t(e)] = std::int32_t(next++);
    }
    wide.types.push_back({type.name, type.count, type.width + most, type.exchangeable});
  }
  tokens_ = std::move(wide), most_code_ = most_code_of(coded);
}

void TokenCoder::balance_as(const NetworkShape &shape) {
  if (can_balance(shape))
    balanced_ = {shape, unit_layers(shape), unit_balance(shape), balance_passes(shape)};
}

bool TokenCoder::has_padding() const {
  return std::any_of(tokens_.place.begin(), tokens_.place.end(), [](std::int32_t place) { return place < 0; });
}

WeightTransformerShape TokenCoder::shape(const FlowConfig &c) const {
  return {
      tokens_.types, c.width,        c.layers, c.heads,   c.features,  c.arithmetic, Conditions(c.conditions).shapes(),
      c.start,       c.condition_by, c.places, c.qk_norm, c.recompute, c.attends,    0,
      c.fused};
}

std::vector<std::size_t> TokenCoder::groups(NormalizerKind by) const {
  if (!groups_.empty())
    return groups_;
  std::vector<std::size_t> group(tokens_.size());
  const auto tensor_of = [&](std::int32_t place) {
    return std::size_t(&tensor_at(layout_, std::size_t(place)) - layout_.data());
  };
  std::vector<std::size_t> first_of(layout_.size(), tokens_.size()); // element of each tensor; of all, for global
  std::size_t at = 0;
  for (const TokenType &type : tokens_.types)
    for (int i = 0; i < type.count; ++i)
      for (int e = 0; e < type.width; ++e, ++at) {
        group[at] = type.exchangeable ? at - std::size_t(i) * std::size_t(type.width) : at;
        if (by == NormalizerKind::coordinate || tokens_.place[at] < 0)
          continue;
        std::size_t &first = first_of[by == NormalizerKind::tensor ? tensor_of(tokens_.place[at]) : 0];
        first = std::min(first, at), group[at] = first;
      }
  return group;
}

std::vector<float> TokenCoder::tensor_weights() const {
  std::vector<float> weight(tokens_.size(), 0);
  double sum = 0, elements = 0;
  for (std::size_t at = 0; at < weight.size(); ++at)
    if (const std::int32_t place = tokens_.place[at]; place >= 0) {
      const double of = 1 / std::sqrt(double(elements_of(tensor_at(layout_, std::size_t(place)))));
      weight[at] = float(of), sum += of, elements += 1;
    }
  for (float &of : weight)
    of = float(of * elements / sum);
  return weight;
}

void TokenCoder::encode(float *tokens, float *theta) const {
  if (balanced_)
    theta::balance(theta, balanced_->shape);
  tokens_.tokenise(tokens, theta);
}

std::map<std::size_t, UnitOrders> TokenCoder::orders(const ZooReader &zoo, const std::vector<std::size_t> &rows) const {
  std::map<std::size_t, UnitOrders> all;
  if (!aligned_)
    return all;
  const auto balanced = [&](std::size_t row) {
    std::vector<float> theta(zoo.parameters());
    zoo.theta(row, theta.data());
    if (balanced_)
      theta::balance(theta.data(), balanced_->shape);
    return theta;
  };
  const auto reference = balanced(rows.front());
  std::vector<UnitOrders> found(rows.size());
  parallel_each(rows.size(),
                [&](std::size_t i) { found[i] = match_units(balanced(rows[i]).data(), reference.data(), *aligned_); });
  for (std::size_t i = 0; i < rows.size(); ++i)
    all[rows[i]] = std::move(found[i]);
  return all;
}

void TokenCoder::align(float *theta, const UnitOrders &orders) const {
  for (std::size_t layer = 0; layer < orders.size(); ++layer)
    permute_units(theta, *aligned_, int(layer), orders[layer]);
}

void TokenCoder::balance(Stream &s, float *theta, int networks) const {
  for (int pass = 0; balanced_ && pass < balanced_->passes; ++pass)
    balance_units<float>(s, theta, networks, balanced_->layers, balanced_->kind);
}

UnitShuffle TokenCoder::shuffle(std::uint64_t seed, std::uint32_t first_stream) const {
  return {shuffled_, factors_, {seed, Purpose::unit_order, first_stream, 0}};
}

} // namespace theta
