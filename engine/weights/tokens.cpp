#include "tokens.h"
#include "engine/networks/coded.h"
#include <algorithm>

namespace theta {

namespace {

// Appends a type whose token i is the places place(i, 0), place(i, 1), ...
template <class F> void add_type(Tokens &tokens, TokenType type, F place) {
  for (int i = 0; i < type.count; ++i)
    for (int e = 0; e < type.width; ++e)
      tokens.place.push_back(std::int32_t(place(i, e)));
  tokens.types.push_back(std::move(type));
}

// Layers are pairs of a weight [out, ...] and a bias [out].
Tokens by_neuron(const Tokenised &t) {
  if (!t.shape)
    throw InputError("tokens: found neuron, expected chunk or layer for an unknown architecture");
  const auto scales = is_coded(*t.shape) ? scales_of(*t.shape) : std::vector<CodedScale>();
  const std::size_t layers = (t.layout.size() - scales.size()) / 2;
  // The scale of a unit of layer l, whose outgoing weights share one, or of an output.
  const auto scale_of = [&](std::size_t l) {
    for (const CodedScale &scale : scales)
      if (scale.how == CodeScale::columns ? scale.tensor == 2 * l + 2 : scale.tensor == 2 * l)
        return &scale;
    return static_cast<const CodedScale *>(nullptr);
  };
  for (const CodedScale &scale : scales)
    if (scale.how != CodeScale::columns && scale.how != CodeScale::rows)
      throw InputError("tokens: found neuron, expected chunk or layer where codes share scales beyond a unit");
  const bool outgoing = layers == 2;
  Tokens tokens;
  for (std::size_t l = 0; l < layers; ++l) {
    const TensorPlace &weight = t.layout[2 * l], &bias = t.layout[2 * l + 1];
    const int out = int(weight.shape[0]), in = int(elements_of(weight)) / out;
    const auto first = long(weight.offset), first_bias = long(bias.offset);
    if (outgoing && l == 1) {                      // its weights left with the units
      const CodedScale *const scale = scale_of(l); // of outputs
      add_type(tokens, {"biases", 1, scale ? 2 * out : out, false},
               [&](int, int e) { return e < out ? first_bias + e : long(scale->offset) + e - out; });
      continue;
    }
    // What leaves a unit: [outputs, taps] (UnitLayers).
    const int leaving = outgoing ? int(elements_of(t.layout[2])) / out : 0;
    const int taps = outgoing ? leaving / int(t.layout[2].shape[0]) : 1;
    const long next_weight = outgoing ? long(t.layout[2].offset) : 0;
    const bool hidden = l + 1 < layers;
    const CodedScale *const scale = scale_of(l);
    const int width = in + 1 + leaving;
    add_type(tokens, {hidden ? text("units", l + 1) : "outputs", out, width + (scale ? 1 : 0), hidden && outgoing},
             [&](int u, int e) {
               const int i = e - in - 1;
               return e < in       ? first + long(u) * in + e
                      : e == in    ? first_bias + u
                      : e == width ? long(scale->offset) + u
                                   : next_weight + (long(i / taps) * out + u) * taps + i % taps;
             });
  }
  return tokens;
}

Tokens by_pieces(const Tokenised &t, int chunk) {
  Tokens tokens;
  for (const TensorPlace &tensor : t.layout) {
    const int size = int(elements_of(tensor)), width = std::min(chunk, size), count = (size + width - 1) / width;
    add_type(tokens, {tensor.name, count, width, false}, [&](int i, int e) {
      const int at = i * width + e;
      return at < size ? long(tensor.offset) + at : -1L;
    });
  }
  return tokens;
}

} // namespace

int Tokens::count() const {
  int n = 0;
  for (const TokenType &type : types)
    n += type.count;
  return n;
}

void Tokens::tokenise(float *tokens, const float *theta) const {
  for (std::size_t i = 0; i < place.size(); ++i)
    tokens[i] = place[i] < 0 ? 0 : theta[place[i]];
}

void Tokens::detokenise(float *theta, const float *tokens) const {
  for (std::size_t i = 0; i < place.size(); ++i)
    if (place[i] >= 0)
      theta[place[i]] = tokens[i];
}

namespace {

std::vector<std::pair<std::string, Tokenizer>> &all_tokenizers() {
  static std::vector<std::pair<std::string, Tokenizer>> all{
      {"neuron", by_neuron},
      {"chunk", [](const Tokenised &t) { return by_pieces(t, t.chunk); }},
      {"layer", [](const Tokenised &t) { return by_pieces(t, 1 << 30); }},
  };
  return all;
}

} // namespace

const std::vector<std::pair<std::string, Tokenizer>> &tokenizers() { return all_tokenizers(); }

bool add_tokenizer(std::string name, Tokenizer tokenizer) {
  all_tokenizers().emplace_back(std::move(name), std::move(tokenizer));
  return true;
}

Tokens tokens_by(const std::string &name, const Tokenised &t) {
  if (t.layout.empty())
    throw InputError("tokens: found networks without a weight");
  if (const std::size_t v = t.layout.back().offset + elements_of(t.layout.back()); v > std::size_t(INT32_MAX))
    throw InputError("tokens: found networks of ", v, " weights, expected at most ", INT32_MAX);
  std::string known;
  for (const auto &[key, tokenizer] : tokenizers()) {
    if (key == name)
      return tokenizer(t);
    known += (known.empty() ? "" : ", ") + key;
  }
  throw InputError("tokens: found '", name, "', expected one of ", known);
}

} // namespace theta
