#include "transformer.h"
#include "engine/weights/symmetry.h"
#include "generator_file.h"

namespace theta {

namespace {

constexpr const char *kind = "weight transformer";

Json json_of(const TransformerConfig &c) {
  return {{"tokens", c.tokens},
          {"chunk", c.chunk},
          {"balance", c.balance},
          {"width", c.width},
          {"layers", c.layers},
          {"heads", c.heads},
          {"features", c.features},
          {"recipe", json_of(c.recipe)},
          {"warmup", c.warmup},
          {"beta2", c.beta2},
          {"arithmetic", name_of(c.arithmetic)}};
}

TransformerConfig config_of(const Json &j, const std::string &where) {
  TransformerConfig c;
  c.tokens = field<std::string>(j, "tokens", where), c.chunk = field<int>(j, "chunk", where);
  c.balance = field<bool>(j, "balance", where), c.width = field<int>(j, "width", where);
  c.layers = field<int>(j, "layers", where), c.heads = field<int>(j, "heads", where);
  c.features = field<int>(j, "features", where), c.recipe = recipe_of(field<Json>(j, "recipe", where), where);
  c.warmup = field<long>(j, "warmup", where), c.beta2 = field<double>(j, "beta2", where);
  c.arithmetic = arithmetic_named(field<std::string>(j, "arithmetic", where));
  for (const auto &[name, value] : {std::pair{"chunk", c.chunk},
                                    {"width", c.width},
                                    {"layers", c.layers},
                                    {"heads", c.heads},
                                    {"features", c.features}})
    if (value < 1 || value > 1 << 20)
      throw InputError(where, ": field '", name, "': found ", value, ", expected 1 to ", 1 << 20);
  return c;
}

} // namespace

NetworkFacts network_facts(const ZooFormat &format, const std::string &where) {
  const Json facts = parse_json(format.facts, where);
  const bool known = facts.is_object() && facts.contains("architecture") && facts["architecture"].is_object();
  NetworkFacts of{format.layout, known ? network_from(facts["architecture"].dump(), where) : std::nullopt};
  if (of.shape && layout_of(*of.shape).places() != format.layout)
    throw InputError(where, ": its architecture is not that of its layout");
  return of;
}

TokenCoder::TokenCoder(const TransformerConfig &c, const NetworkFacts &facts)
    : tokens_(tokens_by(c.tokens, {facts.layout, facts.shape, c.chunk})) {
  if (c.balance && facts.shape && has_unit_symmetries(*facts.shape))
    balanced_ = facts.shape;
}

WeightTransformerShape TokenCoder::shape(const TransformerConfig &c) const {
  return {tokens_.types, c.width, c.layers, c.heads, c.features, c.arithmetic};
}

void TokenCoder::encode(float *tokens, float *theta) const {
  if (balanced_)
    balance(theta, *balanced_);
  tokens_.tokenise(tokens, theta);
}

void save_transformer(const std::filesystem::path &path, const Transformer &t, const std::string &key) {
  const TokenCoder coder(t.config, network_facts(t.networks, path.string()));
  const WeightTransformer<float> model(coder.shape(t.config));
  std::vector<TensorSource> tensors;
  for (const auto &[name, values] : {std::pair{"tokens.mean", &t.mean}, {"tokens.std", &t.std}})
    tensors.push_back({name, Dtype::f32, {std::int64_t(values->size())}, values->data()});
  for (const auto &place : model.parameters().places())
    tensors.push_back({place.name, Dtype::f32, place.shape, t.weights.data() + place.offset});
  Json about = {{"kind", kind}, {"config", json_of(t.config)}};
  put_networks(about, t.networks);
  write_safetensors(path, tensors, {{"theta", about.dump()}, {"key", key}});
}

Transformer load_transformer(const std::filesystem::path &path) {
  const Safetensors file(path);
  const std::string where = path.string();
  const Json about = about_generator(file, kind);
  Transformer t;
  t.config = config_of(field<Json>(about, "config", where), where);
  t.networks = networks_of(about, where);
  const TokenCoder coder(t.config, network_facts(t.networks, where));
  const WeightTransformer<float> model(coder.shape(t.config));
  const auto size = std::int64_t(model.size());
  t.mean = file.read<float>("tokens.mean", {size}), t.std = file.read<float>("tokens.std", {size});
  for (const auto &place : model.parameters().places()) {
    const auto part = file.read<float>(place.name, place.shape);
    t.weights.insert(t.weights.end(), part.begin(), part.end());
  }
  return t;
}

} // namespace theta
