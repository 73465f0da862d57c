#include "transformer.h"
#include "data/json.h"
#include "engine/generators/generator_file.h"
#include "engine/settings/json_keys.h"
#include "kernels/device/names.h"
#include "token_coder.h"

namespace theta {

namespace {

constexpr const char *kind = "weight transformer";
constexpr std::array origin_names{"zoo", "stream"};
constexpr std::array way_names{"modulation", "tokens"};
constexpr std::array place_names{"learned", "sinusoidal"};
constexpr std::array weigh_names{"elements", "tensors"};

// The order in which files have the settings, where it is not that of configurations.
const std::vector<std::string> file_order{"conditions", "start", "residual", "condition_by", "drop"};

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

WeighBy weigh_by_named(std::string_view name) { return value_named<WeighBy>(name, weigh_names, "weigh_by"); }
const char *name_of(WeighBy weigh_by) { return weigh_names[std::size_t(weigh_by)]; }

void describe(Keys &keys, TransformerConfig &c) {
  keys({"source", "where networks come from: the stored zoo, or a stream of networks trained meanwhile"}, c.source,
       network_origin_named);
  keys({"draws", "noise levels that each network is shown at in a step"}, c.draws, positive);
  keys({"tokens", "what a token is: neuron, chunk or layer"}, c.tokens);
  keys({"chunk", "elements of a token, for tokenizers that cut"}, c.chunk, Limits{1, 1 << 20});
  keys({"own_coders", "an encoder and a decoder for every token that is not exchangeable"}, c.own_coders);
  keys({"normalizer", "what tokens are standardised by"}, c.normalizer, normalizer_named);
  keys({"balance", "networks are brought to one member of their class of scales or signs first"}, c.balance);
  keys({"align", "units are brought to where they are nearest to one network's, and have places then"}, c.align);
  keys({"shuffle", "units change places at random at every step"}, c.shuffle);
  keys({"flip", "units change signs at random where the activation allows it"}, c.factors.signs);
  keys({"rescale", "units are rescaled at random, by this much in the logarithm"}, c.factors.spread, Limits{0, 2});
  keys({"augment", "noise added to networks in training, in standard deviations of a weight"}, c.augment,
       Limits{0, 10});
  keys({"noise", "which noise levels training draws, and the path between network and noise"}, c.noise,
       noise_schedule_named);
  keys({"objective", "what the model predicts"}, c.objective, objective_named);
  keys({"weigh_by", nullptr, "what counts in the loss: every element alike, or tensors by the root of their size"},
       c.weigh_by, weigh_by_named);
  keys({"conditions", "columns of the zoo, and forms of them, that the model is conditioned on"}, c.conditions);
  keys({"condition_by", "how conditions enter: as modulation of blocks or as tokens"}, c.condition_by,
       condition_way_named);
  keys({"drop",
        "share of networks trained without conditions, and of the rest, of each condition left out: guidance needs it"},
       c.drop, share);
  keys({"start", "conditioned on a network of the same run, some steps earlier"}, c.start);
  keys({"residual", "what is generated is the difference from the network to start from"}, c.residual);
  keys({"width", "numbers of a token or node inside the model"}, c.width, Limits{1, 1 << 14});
  keys({"layers", "blocks of the model"}, c.layers, Limits{1, 256});
  keys({"heads", "heads of attention in a block"}, c.heads, Limits{1, 1024});
  keys({"features", "frequencies of the embedding of time and conditions"}, c.features, Limits{4, 1 << 14});
  keys({"places", "what tells tokens their places"}, c.places, place_kind_named);
  keys({"qk_norm", "queries and keys are normalised, which keeps attention calm"}, c.qk_norm);
  describe_training(keys, c);
}

void describe_training(Keys &keys, TransformerConfig &c) {
  keys({"warmup", "steps over which the learning rate rises from 0"}, c.warmup, not_negative);
  keys({"beta2", "of Adam: decay of squared gradients"}, c.beta2, Limits{0, 0.9999999});
  keys({"accumulate", "parts of a batch whose gradients are added up"}, c.accumulate, positive);
  keys({"recompute", "activations are made again in the backward instead of kept: the same bits, less memory"},
       c.recompute);
  keys({"fused", nullptr, "weights move as their gradients complete: no gradients are kept"}, c.fused);
  keys({"probe_every", "steps between samples that are scored meanwhile; 0: none"}, c.probe_every, not_negative);
  keys({"arithmetic", "of products: fp32, or bf16 operands on tensor cores"}, c.arithmetic, arithmetic_named);
  keys.group("recipe", [&] { describe(keys, c.recipe); });
}

void describe_flow(Keys &keys, TransformerConfig &c) {
  keys({"noise", "which noise levels training draws, and the path between network and noise"}, c.noise,
       noise_schedule_named);
  keys({"objective", "what the model predicts"}, c.objective, objective_named);
  keys({"noise_scale", "standard deviation of the noise at time 1"}, c.noise_scale, Limits{1e-6, 1e6});
  keys({"conditions", "columns of the zoo, and forms of them, that the model is conditioned on"}, c.conditions);
  keys({"drop",
        "share of networks trained without conditions, and of the rest, of each condition left out: guidance needs it"},
       c.drop, share);
  keys({"width", "numbers of a token or node inside the model"}, c.width, Limits{1, 1 << 14});
  keys({"layers", "blocks of the model"}, c.layers, Limits{1, 256});
  keys({"features", "frequencies of the embedding of time and conditions"}, c.features, Limits{4, 1 << 14});
  keys({"warmup", "steps over which the learning rate rises from 0"}, c.warmup, not_negative);
  keys({"beta2", "of Adam: decay of squared gradients"}, c.beta2, Limits{0, 0.9999999});
  keys({"accumulate", "parts of a batch whose gradients are added up"}, c.accumulate, positive);
  keys({"recompute", "activations are made again in the backward instead of kept: the same bits, less memory"},
       c.recompute);
  keys({"fused", nullptr, "weights move as their gradients complete: no gradients are kept"}, c.fused);
  keys({"arithmetic", "of products: fp32, or bf16 operands on tensor cores"}, c.arithmetic, arithmetic_named);
  keys.group("recipe", [&] { describe(keys, c.recipe); });
}

std::vector<std::string> savings_of(const TransformerConfig &c, const std::string &table, bool accumulates) {
  std::vector<std::string> all;
  if (!c.recompute)
    all.push_back(table + ".recompute=true");
  if (!c.fused && c.accumulate == 1 && c.recipe.max_norm == 0)
    all.push_back(table + ".fused=true");
  if (c.arithmetic != Arithmetic::bf16)
    all.push_back(table + ".arithmetic=bf16");
  if (accumulates && !c.fused)
    all.push_back(text(table, ".accumulate=", 2 * c.accumulate));
  return all;
}

TransformerConfig flow_config() {
  TransformerConfig c;
  c.tokens = "layer", c.normalizer = NormalizerKind::global, c.balance = false;
  c.attends = false, c.heads = 1, c.width = 512, c.layers = 4;
  return c;
}

void check(const TransformerConfig &c, const std::string &table) {
  const auto wrong = [&](const char *key, auto found, auto... expected) {
    throw InputError(table, ".", key, ": found ", found, ", expected ", expected...);
  };
  try {
    Conditions{c.conditions};
  } catch (const InputError &e) { // which does not know whose they are
    throw InputError(table, ".", e.what());
  }
  if (c.width % c.heads != 0)
    wrong("heads", c.heads, "a divisor of width, ", c.width);
  if (c.features % 2 != 0)
    wrong("features", c.features, "an even number");
  if (c.recipe.batch % (c.accumulate * c.draws) != 0)
    wrong("batch", c.recipe.batch, "a multiple of draws·accumulate, ", c.draws * c.accumulate);
  if (c.fused && (c.accumulate > 1 || c.recipe.max_norm > 0))
    wrong("fused", "true", "false with accumulate or max_norm, for which all gradients have to be known");
  if (c.noise == NoiseSchedule::logit_normal && c.objective == Objective::eps)
    wrong("objective", "eps", "another with noise = logit-normal, where it is not determined at t = 1");
  if (c.noise_scale != 1 && (c.objective != Objective::velocity || c.noise != NoiseSchedule::logit_normal))
    wrong("noise_scale", c.noise_scale, "1 but with noise = logit_normal and objective = velocity");
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

Transformer transformer_of(const TransformerConfig &config, const ZooFormat &networks, const Learned &learned) {
  const auto &[mean, std] = learned.tokens.at(0);
  return {config, networks, mean, std, learned.ranges, learned.weights};
}

std::vector<TensorSource> tensors_of(const Transformer &t, const std::string &prefix) {
  const TokenCoder coder(t.config, network_facts(t.networks, "generator"));
  const WeightTransformer<float> model(coder.shape(t.config));
  std::vector<TensorSource> tensors;
  for (const auto &[name, values] : {std::pair{"tokens.mean", &t.mean}, {"tokens.std", &t.std}})
    tensors.push_back({prefix + name, Dtype::f32, {std::int64_t(values->size())}, values->data()});
  static_assert(sizeof(ConditionRange) == 2 * sizeof(float));
  if (!t.ranges.empty())
    tensors.push_back({prefix + "conditions.range", Dtype::f32, {std::int64_t(t.ranges.size()), 2}, t.ranges.data()});
  put_tensors(tensors, prefix, model.parameters(), t.weights);
  return tensors;
}

void read_tensors(Transformer &t, const Safetensors &file, const std::string &prefix) {
  const TokenCoder coder(t.config, network_facts(t.networks, file.path().string()));
  const WeightTransformer<float> model(coder.shape(t.config));
  const auto size = std::int64_t(model.size());
  t.mean = file.read<float>(prefix + "tokens.mean", {size}), t.std = file.read<float>(prefix + "tokens.std", {size});
  if (const std::size_t n = t.config.conditions.size(); n > 0) {
    const auto ranges = file.read<float>(prefix + "conditions.range", {std::int64_t(n), 2});
    for (std::size_t k = 0; k < n; ++k)
      t.ranges.push_back({ranges[2 * k], ranges[2 * k + 1]});
  }
  t.weights = read_tensors(file, prefix, model.parameters());
}

void save_transformer(const std::filesystem::path &path, const Transformer &t, const Stamp &stamp) {
  TransformerConfig config = t.config;
  Json about = {{"kind", kind}, {"config", json_of([&](Keys &keys) { describe(keys, config); }, file_order)}};
  put_networks(about, t.networks);
  write_safetensors(path, tensors_of(t), metadata_of(about, stamp));
}

Transformer load_transformer(const std::filesystem::path &path) {
  const Safetensors file(path);
  const std::string where = path.string();
  const Json about = about_generator(file, kind);
  Transformer t;
  read_json(field<Json>(about, "config", where), where, [&](Keys &keys) { describe(keys, t.config); });
  try {
    check(t.config);
  } catch (const InputError &e) {
    throw InputError(where, ": ", e.what());
  }
  t.networks = networks_of(about, where);
  read_tensors(t, file);
  return t;
}

} // namespace theta
