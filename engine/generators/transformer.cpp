#include "transformer.h"
#include "generator_file.h"
#include "kernels/device/names.h"
#include "kernels/operations/units.h"
#include <algorithm>

namespace theta {

namespace {

constexpr const char *kind = "weight transformer";
constexpr std::array origin_names{"zoo", "stream"};
constexpr std::array way_names{"modulation", "tokens"};
constexpr std::array place_names{"learned", "sinusoidal"};

// The configuration, field by field, described once: writing and reading both walk it.
template <class V> void visit(V &v, TransformerConfig &c) {
  v("source", c.source, network_origin_named), v("draws", c.draws);
  v("tokens", c.tokens), v("chunk", c.chunk), v("own_coders", c.own_coders);
  v("normalizer", c.normalizer, normalizer_named), v("balance", c.balance), v("align", c.align);
  v("shuffle", c.shuffle), v("flip", c.factors.signs), v("rescale", c.factors.spread);
  v("noise", c.noise, noise_schedule_named), v("objective", c.objective, objective_named);
  v("conditions", c.conditions), v("start", c.start), v("residual", c.residual);
  v("condition_by", c.condition_by, condition_way_named), v("drop", c.drop);
  v("width", c.width), v("layers", c.layers), v("heads", c.heads), v("features", c.features);
  v("places", c.places, place_kind_named), v("qk_norm", c.qk_norm);
  v("warmup", c.warmup), v("beta2", c.beta2), v("accumulate", c.accumulate), v("recompute", c.recompute);
  v("probe_every", c.probe_every), v("arithmetic", c.arithmetic, arithmetic_named);
}

struct Writer {
  Json &to;
  template <class T> void operator()(const char *key, const T &value) { to[key] = value; }
  template <class E> void operator()(const char *key, E value, E (*)(std::string_view)) { to[key] = name_of(value); }
};

struct Reader {
  const Json &from;
  const std::string &where;
  template <class T> void operator()(const char *key, T &value) { value = field<T>(from, key, where); }
  template <class E> void operator()(const char *key, E &value, E (*named)(std::string_view)) {
    value = named(field<std::string>(from, key, where));
  }
};

Json json_of(TransformerConfig c) {
  Json json;
  Writer writer{json};
  visit(writer, c);
  json["recipe"] = json_of(c.recipe);
  return json;
}

TransformerConfig config_of(const Json &j, const std::string &where) {
  TransformerConfig c;
  Reader reader{j, where};
  try {
    visit(reader, c);
    c.recipe = recipe_of(field<Json>(j, "recipe", where), where);
    for (const auto &[name, value] : {std::pair{"chunk", c.chunk},
                                      {"draws", c.draws},
                                      {"width", c.width},
                                      {"layers", c.layers},
                                      {"heads", c.heads},
                                      {"accumulate", c.accumulate},
                                      {"features", c.features}})
      if (value < 1 || value > 1 << 20)
        throw InputError("field '", name, "': found ", value, ", expected 1 to ", 1 << 20);
    check(c);
  } catch (const InputError &e) {
    throw InputError(where, ": ", e.what());
  }
  return c;
}

} // namespace

NetworkOrigin network_origin_named(std::string_view name) {
  return value_named<NetworkOrigin>(name, origin_names, "source");
}
const char *name_of(NetworkOrigin origin) { return origin_names[std::size_t(origin)]; }
ConditionWay condition_way_named(std::string_view name) {
  return value_named<ConditionWay>(name, way_names, "condition_by");
}
const char *name_of(ConditionWay way) { return way_names[std::size_t(way)]; }
PlaceKind place_kind_named(std::string_view name) { return value_named<PlaceKind>(name, place_names, "places"); }
const char *name_of(PlaceKind kind) { return place_names[std::size_t(kind)]; }

void check(const TransformerConfig &c) {
  const auto wrong = [](const char *key, auto found, auto... expected) {
    throw InputError("fit.transformer.", key, ": found ", found, ", expected ", expected...);
  };
  if (c.width % c.heads != 0)
    wrong("heads", c.heads, "a divisor of width, ", c.width);
  if (c.features % 2 != 0)
    wrong("features", c.features, "an even number");
  if (c.recipe.batch % (c.accumulate * c.draws) != 0)
    wrong("batch", c.recipe.batch, "a multiple of draws·accumulate, ", c.draws * c.accumulate);
  if (c.noise == NoiseSchedule::logit_normal && c.objective == Objective::eps)
    wrong("objective", "eps", "another with noise = logit-normal, where it is not determined at t = 1");
  const Conditions conditions(c.conditions);
  if (conditions.of_start() && !c.start)
    wrong("start", "false", "true for conditions on the network that is started from");
  if (c.residual && !(c.start && c.objective == Objective::x0))
    wrong("residual", "true", "false but with start = true and objective = x0");
  if (c.align && (c.start || c.shuffle || c.source == NetworkOrigin::stream))
    wrong("align", "true", "false with start, shuffle or source = stream");
  if ((c.factors.signs || c.factors.spread > 0) && (!c.shuffle || c.balance))
    wrong(c.factors.signs ? "flip" : "rescale", c.factors.signs ? "true" : "more than 0",
          "otherwise but with shuffle = true and balance = false");
}

NetworkFacts network_facts(const ZooFormat &format, const std::string &where) {
  const Json facts = parse_json(format.facts, where);
  const bool known = facts.is_object() && facts.contains("architecture") && facts["architecture"].is_object();
  NetworkFacts of{format.layout, known ? network_from(facts["architecture"].dump(), where) : std::nullopt};
  if (of.shape && layout_of(*of.shape).places() != format.layout)
    throw InputError(where, ": its architecture is not that of its layout");
  return of;
}

TokenCoder::TokenCoder(const TransformerConfig &c, const NetworkFacts &facts)
    : layout_(facts.layout), normalizer_(c.normalizer),
      tokens_(tokens_by(c.tokens, {facts.layout, facts.shape, c.chunk})) {
  for (const auto &[key, wanted] : {std::pair{"shuffle", c.shuffle}, {"align", c.align}})
    if (wanted && !facts.shape)
      throw InputError("fit.transformer.", key, ": found true, expected false for an unknown architecture");
  if (c.balance)
    balanced_ = facts.shape;
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

bool TokenCoder::has_padding() const {
  return std::any_of(tokens_.place.begin(), tokens_.place.end(), [](std::int32_t place) { return place < 0; });
}

WeightTransformerShape TokenCoder::shape(const TransformerConfig &c) const {
  return {
      tokens_.types, c.width,        c.layers, c.heads,   c.features, c.arithmetic, Conditions(c.conditions).shapes(),
      c.start,       c.condition_by, c.places, c.qk_norm, c.recompute};
}

std::vector<std::size_t> TokenCoder::groups() const {
  std::vector<std::size_t> group(tokens_.size());
  const auto tensor_of = [&](std::int32_t place) {
    const auto after = std::upper_bound(layout_.begin(), layout_.end(), std::size_t(place),
                                        [](std::size_t at, const TensorPlace &t) { return at < t.offset; });
    return std::size_t(after - layout_.begin()) - 1;
  };
  std::vector<std::size_t> first_of(layout_.size(), tokens_.size()); // element of each tensor; of all, for global
  std::size_t at = 0;
  for (const TokenType &type : tokens_.types)
    for (int i = 0; i < type.count; ++i)
      for (int e = 0; e < type.width; ++e, ++at) {
        group[at] = type.exchangeable ? at - std::size_t(i) * std::size_t(type.width) : at;
        if (normalizer_ == NormalizerKind::coordinate || tokens_.place[at] < 0)
          continue;
        std::size_t &first = first_of[normalizer_ == NormalizerKind::tensor ? tensor_of(tokens_.place[at]) : 0];
        first = std::min(first, at), group[at] = first;
      }
  return group;
}

void TokenCoder::encode(float *tokens, float *theta) const {
  if (balanced_)
    theta::balance(theta, *balanced_);
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
      theta::balance(theta.data(), *balanced_);
    return theta;
  };
  const auto reference = balanced(rows.front());
  std::vector<UnitOrders> found(rows.size());
#pragma omp parallel for schedule(dynamic, 16)
  for (std::size_t i = 0; i < rows.size(); ++i)
    found[i] = match_units(balanced(rows[i]).data(), reference.data(), *aligned_);
  for (std::size_t i = 0; i < rows.size(); ++i)
    all[rows[i]] = std::move(found[i]);
  return all;
}

void TokenCoder::align(float *theta, const UnitOrders &orders) const {
  for (std::size_t layer = 0; layer < orders.size(); ++layer)
    permute_units(theta, *aligned_, int(layer), orders[layer]);
}

void TokenCoder::balance(Stream &s, float *theta, int networks) const {
  if (!balanced_)
    return;
  for (int pass = 0; pass < balance_passes(*balanced_); ++pass)
    balance_units<float>(s, theta, networks, unit_layers(*balanced_), unit_balance(*balanced_));
}

UnitShuffle TokenCoder::shuffle(std::uint64_t seed, std::uint32_t first_stream) const {
  return {shuffled_, factors_, {seed, Purpose::unit_order, first_stream, 0}};
}

void save_transformer(const std::filesystem::path &path, const Transformer &t, const std::string &key) {
  const TokenCoder coder(t.config, network_facts(t.networks, path.string()));
  const WeightTransformer<float> model(coder.shape(t.config));
  std::vector<TensorSource> tensors;
  for (const auto &[name, values] : {std::pair{"tokens.mean", &t.mean}, {"tokens.std", &t.std}})
    tensors.push_back({name, Dtype::f32, {std::int64_t(values->size())}, values->data()});
  static_assert(sizeof(ConditionRange) == 2 * sizeof(float));
  if (!t.ranges.empty())
    tensors.push_back({"conditions.range", Dtype::f32, {std::int64_t(t.ranges.size()), 2}, t.ranges.data()});
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
  if (const std::size_t n = t.config.conditions.size(); n > 0) {
    const auto ranges = file.read<float>("conditions.range", {std::int64_t(n), 2});
    for (std::size_t k = 0; k < n; ++k)
      t.ranges.push_back({ranges[2 * k], ranges[2 * k + 1]});
  }
  for (const auto &place : model.parameters().places()) {
    const auto part = file.read<float>(place.name, place.shape);
    t.weights.insert(t.weights.end(), part.begin(), part.end());
  }
  return t;
}

} // namespace theta
