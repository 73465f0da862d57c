#include "config.h"
#include "kernels/device/names.h"

namespace theta {

namespace {

constexpr std::array origin_names{"zoo", "stream"};
constexpr std::array way_names{"modulation", "tokens"};
constexpr std::array place_names{"learned", "sinusoidal"};
constexpr std::array weigh_names{"elements", "tensors", "effect"};

// Of all the keys that are described to it, hands on the one of that name.
struct OnlyKey {
  Keys &keys;
  std::string_view name;
  bool found = false;
  template <class... A> void operator()(const Key &key, A &&...of) {
    if (key.name == name)
      keys(key, std::forward<A>(of)...), found = true;
  }
};

void describe_all(OnlyKey &keys, FlowConfig &c) {
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
  keys({"weigh_by", nullptr,
        "what counts in the loss: every element alike, tensors by the root of their size, or elements by their effect"},
       c.weigh_by, weigh_by_named);
  keys({"conditions", "columns of the zoo, and forms of them, that the model is conditioned on"}, c.conditions);
  keys({"condition_by", "how conditions enter: as modulation of blocks or as tokens"}, c.condition_by,
       condition_way_named);
  keys({"drop",
        "share of networks trained without conditions, and of the rest, of each condition left out: guidance needs it; "
        "1: they are for fit.about_line alone"},
       c.drop, Limits{0, 1});
  keys({"start", "conditioned on a network of the same run, some steps earlier"}, c.start);
  keys({"residual", "what is generated is the difference from the network to start from"}, c.residual);
  keys({"width", "numbers of a token or node inside the model"}, c.width, Limits{1, 1 << 14});
  keys({"layers", "blocks of the model"}, c.layers, Limits{1, 256});
  keys({"heads", "heads of attention in a block"}, c.heads, Limits{1, 1024});
  keys({"features", "frequencies of the embedding of time and conditions"}, c.features, Limits{4, 1 << 14});
  keys({"places", "what tells tokens their places"}, c.places, place_kind_named);
  keys({"qk_norm", "queries and keys are normalised, which keeps attention calm"}, c.qk_norm);
  keys({"warmup", "steps over which the learning rate rises from 0"}, c.warmup, not_negative);
  keys({"beta2", "of Adam: decay of squared gradients"}, c.beta2, Limits{0, 0.9999999});
  keys({"accumulate", "parts of a batch whose gradients are added up"}, c.accumulate, positive);
  keys({"recompute", "activations are made again in the backward instead of kept: the same bits, less memory"},
       c.recompute);
  keys({"fused", nullptr, "weights move as their gradients complete: no gradients are kept"}, c.fused);
  keys({"probe_every", "steps between samples that are scored meanwhile; 0: none"}, c.probe_every, not_negative);
  keys({"arithmetic", "of products: fp32, or bf16 operands with sums in fp32"}, c.arithmetic, arithmetic_named);
  keys({"own_noise", "each network keeps one noise that is drawn once, in place of another at every step"},
       c.own_noise);
  keys({"plain", "a plain perceptron of three layers, the middle one half as wide, in place of a residual one"},
       c.plain);
  keys({"dropout", "share of units that the plain perceptron leaves out in a step, behind its first two layers"},
       c.dropout, Limits{0, 0.99});
  keys({"noise_scale", "standard deviation of the noise at time 1"}, c.noise_scale, Limits{1e-6, 1e6});
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

WeighBy weigh_by_named(std::string_view name) { return value_named<WeighBy>(name, weigh_names, "weigh_by"); }
const char *name_of(WeighBy weigh_by) { return weigh_names[std::size_t(weigh_by)]; }

void describe(Keys &keys, FlowConfig &c, std::initializer_list<std::string_view> names) {
  for (const std::string_view name : names) {
    OnlyKey only{keys, name};
    describe_all(only, c);
    if (name == "recipe")
      keys.group("recipe", [&] { describe(keys, c.recipe); });
    else if (!only.found)
      throw Error("flow: found the key '", name, "', expected one of its own");
  }
}

void describe_perceptron(Keys &keys, FlowConfig &c) {
  describe(keys, c,
           {"noise", "objective", "noise_scale", "conditions", "drop", "width", "layers", "features", "warmup", "beta2",
            "accumulate", "recompute", "fused", "arithmetic", "recipe"});
}

FlowConfig perceptron_flow() {
  FlowConfig c;
  c.tokens = "layer", c.normalizer = NormalizerKind::global, c.balance = false;
  c.attends = false, c.heads = 1, c.width = 512, c.layers = 4;
  return c;
}

std::vector<std::string> savings_of(const FlowTraining &c, Arithmetic arithmetic, const std::string &table,
                                    bool accumulates) {
  std::vector<std::string> all;
  if (!c.recompute)
    all.push_back(table + ".recompute=true");
  if (!c.fused && c.accumulate == 1 && c.recipe.max_norm == 0)
    all.push_back(table + ".fused=true");
  if (arithmetic != Arithmetic::bf16)
    all.push_back(table + ".arithmetic=bf16");
  if (accumulates && !c.fused)
    all.push_back(text(table, ".accumulate=", 2 * c.accumulate));
  return all;
}

void check(const FlowConfig &c, const std::string &table) {
  const auto wrong = [&](const char *key, auto found, auto... expected) {
    throw InputError(table, ".", key, ": found ", found, ", expected ", expected...);
  };
  try {
    Conditions{c.conditions};
  } catch (const InputError &e) { // which does not know whose they are
    throw InputError(table, ".", e.what());
  }
  if (c.plain && !c.conditions.empty())
    wrong("plain", "true", "false with conditions: a plain perceptron is told nothing");
  if (c.plain && (c.recompute || c.fused || c.arithmetic != Arithmetic::fp32))
    wrong("plain", "true", "false with recompute, fused or arithmetic = bf16");
  if (c.plain && c.width % 2 != 0)
    wrong("width", c.width, "an even number with plain = true, whose second layer has half of it");
  if (!c.plain && c.dropout > 0)
    wrong("dropout", c.dropout, "0 unless plain = true");
  if (c.width % c.heads != 0)
    wrong("heads", c.heads, "a divisor of width, ", c.width);
  if (c.features % 2 != 0)
    wrong("features", c.features, "an even number");
  if (c.recipe.batch % (c.accumulate * c.draws) != 0)
    wrong("batch", c.recipe.batch, "a multiple of draws·accumulate, ", c.draws * c.accumulate);
  if (c.fused && (c.accumulate > 1 || c.recipe.max_norm > 0))
    wrong("fused", "true", "false with accumulate or max_norm, for which all gradients have to be known");
  if (is_straight(c.noise) && c.objective == Objective::eps)
    wrong("objective", "eps", "another with noise = logit-normal, where it is not determined at t = 1");
  if (c.noise_scale != 1 && (c.objective != Objective::velocity || !is_straight(c.noise)))
    wrong("noise_scale", c.noise_scale, "1 but with noise = logit-normal or uniform and objective = velocity");
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

} // namespace theta
