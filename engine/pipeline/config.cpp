#include "config.h"
#include "kernels/device/names.h"
#include "prompts.h"
#include <algorithm>
#include <array>
#include <cmath>
#include <fmt/core.h>
#include <limits>
#include <map>
#include <set>
#define TOML_EXCEPTIONS 1
#include <toml++/toml.h>

namespace theta {

namespace {

// Inclusive limits of a number.
struct Limits {
  double low = -std::numeric_limits<double>::infinity(), high = std::numeric_limits<double>::infinity();
};
constexpr Limits positive{1, 1e9}, not_negative{0, 1e9}, share{0, 0.95}, rate{0, 1e3};

// The configuration, key by key, described once: reading and writing both walk it.
template <class V> void visit(V &v, Config &c) {
  v.section("");
  v("name", c.name);
  v("seed", c.seed);
  v.section("data");
  v("name", c.data.name);
  v("folder", c.data.folder);
  v("pool", c.data.pool, positive);
  v("validation", c.data.validation, not_negative);
  v("labels", c.data.labels, not_negative);
  v("solids", c.data.solids, positive);
  v("points", c.data.points, Limits{1, 1 << 22});
  v.section("network");
  v("kind", c.network.kind, network_kind_named);
  v("widths", c.network.widths, positive);
  v("octaves", c.network.octaves, Limits{0, 16});
  v("channels", c.channels, positive);
  v("kernels", c.kernels, positive);
  v("pools", c.pools, Limits{1, 2});
  v("activation", c.zoo.recipe.activation, activation_named);
  v("initialisation", c.zoo.recipe.initialisation, initialisation_named);
  v.section("zoo");
  v("networks", c.zoo.recipe.networks, positive);
  v("wave", c.zoo.recipe.wave, positive);
  v("steps", c.zoo.recipe.steps, positive);
  v("batch", c.zoo.recipe.batch, positive);
  v("optimizer", c.zoo.recipe.optimizer, optimizer_named);
  v("lr", c.zoo.recipe.lr, rate);
  v("momentum", c.zoo.recipe.momentum, Limits{0, 0.9999});
  v("draw", c.zoo.recipe.draw, draw_named);
  v("beta1", c.zoo.recipe.beta1, Limits{0, 0.9999999});
  v("beta2", c.zoo.recipe.beta2, Limits{0, 0.9999999});
  v("eps", c.zoo.recipe.eps, Limits{1e-30, 1});
  v("weight_decay", c.zoo.recipe.weight_decay, rate);
  v("label_smoothing", c.zoo.recipe.label_smoothing, share);
  v("label_noise", c.zoo.recipe.label_noise, Limits{0, 1});
  v("dropout", c.zoo.recipe.dropout, share);
  v("schedule", c.zoo.recipe.schedule.kind, lr_kind_named);
  v("schedule_every", c.zoo.recipe.schedule.every, positive);
  v("schedule_gamma", c.zoo.recipe.schedule.gamma, Limits{0, 10});
  v("warmup", c.zoo.recipe.schedule.warmup, not_negative);
  v("checkpoints", c.zoo.recipe.checkpoints, checkpoints_named);
  v("count", c.zoo.recipe.count, positive);
  v("held_out", c.zoo.recipe.held_out, share);
  v("divergence_limit", c.zoo.recipe.divergence_limit, Limits{1e-6, 1e30});
  v("storage", c.zoo.storage);
  v("from", c.zoo.from);
  v.section("fit");
  v("generator", c.generator, generator_named);
  v("normalizer", c.fit.normalizer, normalizer_named);
  v("latent", c.fit.latent, Limits{1, 1 << 20});
  v("diffusion_steps", c.fit.diffusion_steps, Limits{2, 1e6});
  v("beta_first", c.fit.beta_first, Limits{1e-12, 0.999});
  v("beta_last", c.fit.beta_last, Limits{1e-12, 0.999});
  v("input_noise", c.fit.input_noise, not_negative);
  v("latent_noise", c.fit.latent_noise, not_negative);
  v("arithmetic", c.fit.arithmetic, arithmetic_named);
  v("compact", c.fit.compact);
  const auto recipe = [&](FitRecipe &r) {
    v("steps", r.steps, positive);
    v("batch", r.batch, Limits{2, 1e6}); // batch norm needs two
    v("lr", r.lr, rate);
    v("weight_decay", r.weight_decay, rate);
    v("max_norm", r.max_norm, not_negative);
    v("schedule", r.schedule, lr_kind_named);
    v("ema_decay", r.ema_decay, Limits{0, 0.999999});
  };
  v.section("fit.autoencoder");
  v("channels", c.fit.autoencoder_channels, Limits{1, 1 << 16});
  v("kernel", c.fit.autoencoder_kernel, Limits{1, 1023});
  recipe(c.fit.autoencoder);
  v.section("fit.denoiser");
  v("channels", c.fit.denoiser_channels, Limits{1, 1 << 16});
  v("kernel", c.fit.denoiser_kernel, Limits{1, 1023});
  v("time_width", c.fit.time_width, Limits{2, 1 << 16});
  recipe(c.fit.denoiser);
  v.section("fit.transformer");
  v("source", c.transformer.source, network_origin_named);
  v("draws", c.transformer.draws, positive);
  v("tokens", c.transformer.tokens);
  v("chunk", c.transformer.chunk, Limits{1, 1 << 20});
  v("own_coders", c.transformer.own_coders);
  v("normalizer", c.transformer.normalizer, normalizer_named);
  v("balance", c.transformer.balance);
  v("align", c.transformer.align);
  v("shuffle", c.transformer.shuffle);
  v("flip", c.transformer.factors.signs);
  v("rescale", c.transformer.factors.spread, Limits{0, 2});
  v("noise", c.transformer.noise, noise_schedule_named);
  v("objective", c.transformer.objective, objective_named);
  v("conditions", c.transformer.conditions);
  v("condition_by", c.transformer.condition_by, condition_way_named);
  v("drop", c.transformer.drop, share);
  v("start", c.transformer.start);
  v("residual", c.transformer.residual);
  v("width", c.transformer.width, Limits{1, 1 << 14});
  v("layers", c.transformer.layers, Limits{1, 256});
  v("heads", c.transformer.heads, Limits{1, 1024});
  v("features", c.transformer.features, Limits{4, 1 << 14});
  v("places", c.transformer.places, place_kind_named);
  v("qk_norm", c.transformer.qk_norm);
  v("warmup", c.transformer.warmup, not_negative);
  v("beta2", c.transformer.beta2, Limits{0, 0.9999999});
  v("accumulate", c.transformer.accumulate, positive);
  v("recompute", c.transformer.recompute);
  v("probe_every", c.transformer.probe_every, not_negative);
  v("arithmetic", c.transformer.arithmetic, arithmetic_named);
  recipe(c.transformer.recipe);
  v.section("sample");
  v("count", c.sample.count, positive);
  v("batch", c.sample.options.batch, positive);
  v("sampler", c.sample.options.sampler, sampler_named);
  v("ddim_steps", c.sample.options.ddim_steps, positive);
  v("ddim_eta", c.sample.options.ddim_eta, Limits{0, 1});
  v("solver", c.sample.solver, solver_named);
  v("solver_steps", c.sample.solver_steps, positive);
  v("guidance", c.sample.guidance, Limits{0, 100});
  v("prompt", c.sample.prompt);
  v("points", c.sample.points, positive);
  v.section("eval");
  v("networks", c.eval.networks, positive);
  v("references", c.eval.references, positive);
  v("wave", c.eval.wave, positive);
  v("average", c.eval.average, positive);
  v("part", c.eval.part);
  v("distance", c.eval.distance, distance_named);
  v("noise", c.eval.noise, not_negative);
}

// Levenshtein's distance, for naming the key that was probably meant.
std::size_t edits(const std::string &a, const std::string &b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j)
    row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t above = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1])});
      diagonal = above;
    }
  }
  return row[b.size()];
}

class Reader {
public:
  Reader(const toml::table &root, std::string where) : root_(root), where_(std::move(where)) {}

  void section(const std::string &name) {
    section_ = name;
    table_ = name.empty() ? &root_ : nullptr;
    if (!name.empty()) {
      const auto node = root_.at_path(name);
      if (node && !node.is_table())
        throw InputError(where_, ": ", name, ": found a value, expected a table");
      table_ = node.as_table();
      for (std::string path = name;; path.resize(path.rfind('.'))) {
        known_.insert(path);
        if (path.find('.') == std::string::npos)
          break;
      }
    }
  }

  template <class T> void operator()(const char *key, T &value, Limits limits = {}) {
    const toml::node *node = find(key);
    if (!node)
      return;
    if constexpr (std::is_same_v<T, std::string>) {
      value = required<std::string>(*node, key, "a text");
    } else if constexpr (std::is_same_v<T, bool>) {
      value = required<bool>(*node, key, "true or false");
    } else if constexpr (std::is_floating_point_v<T>) {
      value = number(*node, key, limits);
    } else if constexpr (std::is_integral_v<T>) {
      value = T(integer(*node, key, limits));
    } else if constexpr (std::is_same_v<T, Choice>) {
      value = choice(*node, key, limits);
    } else if constexpr (std::is_same_v<T, std::vector<std::string>>) {
      const toml::array *list = node->as_array();
      if (!list)
        wrong(*node, key, "a list of texts");
      value.clear();
      for (const toml::node &item : *list)
        value.push_back(required<std::string>(item, key, "a list of texts"));
    } else { // a list of numbers
      const toml::array *list = node->as_array();
      if (!list)
        wrong(*node, key, "a list of numbers");
      value.clear();
      for (const toml::node &item : *list)
        if constexpr (std::is_same_v<T, std::vector<double>>)
          value.push_back(number(item, key, limits));
        else
          value.push_back(int(integer(item, key, limits)));
    }
  }

  template <class E> void operator()(const char *key, E &value, E (*named)(std::string_view)) {
    if (const toml::node *node = find(key))
      value = name(*node, key, named);
  }

  // A name, or a list of them.
  template <class E> void operator()(const char *key, std::vector<E> &values, E (*named)(std::string_view)) {
    const toml::node *node = find(key);
    if (!node)
      return;
    values.clear();
    if (const toml::array *list = node->as_array())
      for (const toml::node &item : *list)
        values.push_back(name(item, key, named));
    else
      values.push_back(name(*node, key, named));
    if (values.empty())
      wrong(*node, key, "a name or a list of them");
  }

  // Every key of the file must have been asked for.
  void check_unknown() const { check_unknown(root_, ""); }

private:
  std::string path(const std::string &key) const { return section_.empty() ? key : section_ + "." + key; }

  const toml::node *find(const char *key) {
    known_.insert(path(key));
    return table_ ? table_->get(key) : nullptr;
  }

  [[noreturn]] void wrong(const toml::node &node, const char *key, const std::string &expected) const {
    std::ostringstream found;
    found << toml::node_view<const toml::node>(node);
    throw InputError(where_, ": ", path(key), ": found ", found.str(), ", expected ", expected);
  }

  template <class T> T required(const toml::node &node, const char *key, const char *expected) const {
    const auto value = node.value_exact<T>();
    if (!value)
      wrong(node, key, expected);
    return *value;
  }

  template <class E> E name(const toml::node &node, const char *key, E (*named)(std::string_view)) const {
    const auto text = required<std::string>(node, key, "a name");
    try {
      return named(text);
    } catch (const InputError &e) {
      throw InputError(where_, ": ", path(key), ": ", e.what());
    }
  }

  // A number, a list of numbers, or {from = 1e-4, to = 1e-2, log = true, points = 5}.
  Choice choice(const toml::node &node, const char *key, Limits limits) const {
    if (const toml::array *list = node.as_array()) {
      std::vector<double> values;
      for (const toml::node &item : *list)
        values.push_back(number(item, key, limits));
      if (values.empty())
        wrong(node, key, "a number, a list of numbers, or a range");
      return values;
    }
    const toml::table *range = node.as_table();
    if (!range)
      return number(node, key, limits);
    for (const auto &[part, value] : *range)
      if (part != "from" && part != "to" && part != "log" && part != "points")
        wrong(node, key, "a range {from, to, log, points}");
    if (!range->contains("from") || !range->contains("to"))
      wrong(node, key, "a range with from and to");
    Range r{number(*range->get("from"), key, limits), number(*range->get("to"), key, limits)};
    if (const toml::node *log = range->get("log"))
      r.log = required<bool>(*log, key, "true or false for log");
    if (const toml::node *points = range->get("points"))
      r.points = int(integer(*points, key, Limits{1, 1e6}));
    if (r.from > r.to || (r.log && r.from <= 0))
      wrong(node, key, r.log ? "0 < from <= to" : "from <= to");
    return r;
  }

  static std::string text_of(Limits l) {
    return std::isinf(l.low) ? "" : fmt::format(" from {:g} to {:g}", l.low, l.high);
  }

  double number(const toml::node &node, const char *key, Limits limits) const {
    const auto value = node.is_number() ? node.value<double>() : std::nullopt;
    if (!value || !(*value >= limits.low && *value <= limits.high))
      wrong(node, key, "a number" + text_of(limits));
    return *value;
  }

  std::int64_t integer(const toml::node &node, const char *key, Limits limits) const {
    const auto value = node.value_exact<std::int64_t>();
    if (!value || *value < 0 || !(double(*value) >= limits.low && double(*value) <= limits.high))
      wrong(node, key, "a whole number" + (std::isinf(limits.low) ? " that is not negative" : text_of(limits)));
    return *value;
  }

  void check_unknown(const toml::table &table, const std::string &prefix) const {
    for (const auto &[key, node] : table) {
      const std::string name = prefix + std::string(key.str());
      if (!known_.contains(name)) {
        const auto nearest = std::min_element(known_.begin(), known_.end(), [&](const auto &a, const auto &b) {
          return edits(a, name) < edits(b, name);
        });
        throw InputError(where_, ": unknown key '", name, "'; did you mean '", *nearest, "'?");
      }
      if (const auto *inner = node.as_table(); inner && !inner->is_inline())
        check_unknown(*inner, name + ".");
    }
  }

  const toml::table &root_;
  const toml::table *table_ = nullptr;
  std::string where_, section_;
  std::set<std::string> known_;
};

class Writer {
public:
  void section(const std::string &name) {
    if (!name.empty())
      text_ += fmt::format("\n[{}]\n", name);
  }
  template <class T> void operator()(const char *key, const T &value, Limits = {}) {
    text_ += fmt::format("{} = {}\n", key, show(value));
  }
  template <class E> void operator()(const char *key, const E &value, E (*)(std::string_view)) {
    text_ += fmt::format("{} = \"{}\"\n", key, name_of(value));
  }
  template <class E> void operator()(const char *key, const std::vector<E> &values, E (*)(std::string_view)) {
    std::vector<std::string> names;
    for (const E value : values)
      names.emplace_back(name_of(value));
    text_ += fmt::format("{} = {}\n", key, names.size() == 1 ? show(names[0]) : show(names));
  }
  const std::string &text() const { return text_; }

private:
  static std::string show(const std::string &s) {
    std::ostringstream out;
    out << toml::value<std::string>(s);
    return out.str();
  }
  static std::string show(double x) {
    std::string text = fmt::format("{}", x); // the shortest that reads back the same
    return text.find_first_of(".einf") == std::string::npos ? text + ".0" : text;
  }
  static std::string show(const Choice &c) {
    if (c.range)
      return fmt::format("{{from = {}, to = {}, log = {}{}}}", show(c.range->from), show(c.range->to), c.range->log,
                         c.range->points > 0 ? fmt::format(", points = {}", c.range->points) : "");
    return c.is_fixed() ? show(c.values[0]) : show(c.values);
  }
  template <class T> static std::string show(T x) { return fmt::format("{}", x); }
  template <class T> static std::string show(const std::vector<T> &list) {
    std::string text = "[";
    for (const T &x : list)
      text += (text.size() > 1 ? ", " : "") + show(x);
    return text + "]";
  }
  std::string text_;
};

void check(const Config &c, const std::string &where) {
  const auto one_of = [&](const char *key, const std::string &value, std::initializer_list<const char *> allowed) {
    std::string known;
    for (const char *name : allowed) {
      if (value == name)
        return;
      known += std::string(known.empty() ? "" : " or ") + name;
    }
    throw InputError(where, ": ", key, ": found '", value, "', expected ", known);
  };
  one_of("data.name", c.data.name, {"fashion-mnist", "solids"});
  one_of("zoo.storage", c.zoo.storage, {"f32", "bf16"});
  one_of("eval.part", c.eval.part, {"test", "validation"});
  if (c.kernels.size() != c.channels.size() || c.pools.size() != c.channels.size())
    throw InputError(where, ": network: found ", c.channels.size(), " channels, ", c.kernels.size(), " kernels and ",
                     c.pools.size(), " pools, expected one of each for every convolution");
  if (c.network.kind != NetworkKind::cnn && !c.channels.empty())
    throw InputError(where, ": network.channels: found convolutions, expected none but with kind = \"cnn\"");
  if (c.network.kind == NetworkKind::field)
    for (const auto &[key, choice] : {std::pair{"zoo.label_smoothing", &c.zoo.recipe.label_smoothing},
                                      {"zoo.label_noise", &c.zoo.recipe.label_noise}})
      if (!choice->is_fixed() || choice->values[0] != 0)
        throw InputError(where, ": ", key, ": found a value, expected 0: fields have no labels");
  if (c.network.kind != NetworkKind::field && c.network.octaves > 0)
    throw InputError(where, ": network.octaves: found ", c.network.octaves, ", expected 0 but with kind = \"field\"");
  if (c.zoo.from.empty())
    try {
      if (c.eval.distance == DistanceKind::assigned)
        UnitDistance::check(c.network);
      layout_of(c.network);
    } catch (const InputError &e) {
      throw InputError(where, ": ", e.what());
    }
  check_choices(c.zoo.recipe);
  if (c.zoo.recipe.schedule.warmup >= c.zoo.recipe.steps)
    throw InputError(where, ": zoo.warmup: found ", c.zoo.recipe.schedule.warmup, ", expected fewer than zoo.steps, ",
                     c.zoo.recipe.steps);
  if (c.fit.beta_first > c.fit.beta_last)
    throw InputError(where, ": fit.beta_first: found ", c.fit.beta_first, ", expected at most beta_last, ",
                     c.fit.beta_last);
  if (c.fit.time_width % 2 != 0)
    throw InputError(where, ": fit.denoiser.time_width: found ", c.fit.time_width, ", expected an even number");
  for (const auto &[key, kernel] :
       {std::pair{"fit.autoencoder.kernel", c.fit.autoencoder_kernel}, {"fit.denoiser.kernel", c.fit.denoiser_kernel}})
    if (kernel % 2 == 0)
      throw InputError(where, ": ", key, ": found ", kernel, ", expected an odd number");
  try {
    check(c.transformer);
    for (const std::string &text : c.sample.prompt)
      prompt_of(text);
  } catch (const InputError &e) {
    throw InputError(where, ": ", e.what());
  }
  if (c.sample.options.sampler == SolverKind::ddim && c.sample.options.ddim_steps > c.fit.diffusion_steps)
    throw InputError(where, ": sample.ddim_steps: found ", c.sample.options.ddim_steps,
                     ", expected at most fit.diffusion_steps, ", c.fit.diffusion_steps);
  if (c.name.empty() || c.name.find('/') != std::string::npos || c.name.starts_with("."))
    throw InputError(where, ": name: found '", c.name, "', expected the name of a folder");
}

// Applies "a.b=value" to the table; the value is TOML, or a bare word.
void apply(toml::table &root, const std::string &override) {
  const auto equals = override.find('=');
  if (equals == std::string::npos || equals == 0)
    throw InputError("--set: found '", override, "', expected KEY=VALUE such as zoo.steps=500");
  const std::string key = override.substr(0, equals), value = override.substr(equals + 1);
  toml::table parsed;
  try {
    parsed = toml::parse("x = " + value);
  } catch (const toml::parse_error &) {
    parsed.insert("x", value);
  }
  toml::table *at = &root;
  std::size_t begin = 0;
  for (std::size_t dot; (dot = key.find('.', begin)) != std::string::npos; begin = dot + 1) {
    const auto part = key.substr(begin, dot - begin);
    at->insert(part, toml::table{});
    at = at->get(part)->as_table();
    if (!at)
      throw InputError("--set: '", key.substr(0, dot), "' is not a table");
  }
  at->insert_or_assign(key.substr(begin), *parsed.get("x"));
}

std::string only_sections(const Config &c, std::initializer_list<const char *> wanted) {
  const std::string all = to_toml(c);
  std::string text;
  bool keep = false;
  std::istringstream lines(all);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("["))
      keep = std::any_of(wanted.begin(), wanted.end(), [&](const std::string &name) {
        return line == "[" + name + "]" || line.starts_with("[" + name + ".");
      });
    if (keep || line.starts_with("seed ="))
      text += line + "\n";
  }
  return text;
}

} // namespace

namespace {
constexpr std::array generator_names{"p-diff", "transformer"};
}
GeneratorKind generator_named(std::string_view name) {
  return value_named<GeneratorKind>(name, generator_names, "generator");
}
const char *name_of(GeneratorKind kind) { return generator_names[std::size_t(kind)]; }

Config load_config(const std::filesystem::path &path, const std::vector<std::string> &overrides) {
  const std::string where = path.string();
  toml::table root;
  if (!std::filesystem::is_regular_file(path))
    throw InputError(where, ": found no such file, expected a configuration");
  try {
    root = toml::parse_file(where);
  } catch (const toml::parse_error &e) {
    throw InputError(where, ": line ", e.source().begin.line, ": ", e.description());
  }
  for (const auto &override : overrides)
    apply(root, override);
  Config config;
  config.name = path.stem().string();
  Reader reader(root, where);
  visit(reader, config);
  reader.check_unknown();
  for (std::size_t i = 0; i < std::min({config.channels.size(), config.kernels.size(), config.pools.size()}); ++i)
    config.network.convolutions.push_back({config.channels[i], config.kernels[i], config.pools[i]});
  config.network.side = config.network.kind == NetworkKind::cnn ? dataset_side(config.data.options()) : 0;
  check(config, where);
  config.sample.options.seed = config.seed;
  config.network.act = config.zoo.recipe.activation.front();
  return config;
}

std::string to_toml(const Config &config) {
  Writer writer;
  Config copy = config;
  visit(writer, copy);
  return writer.text();
}

std::string zoo_text(const Config &c) { return only_sections(c, {"data", "network", "zoo"}); }
std::string fit_text(const Config &c) { return only_sections(c, {"fit"}); }
std::string sample_text(const Config &c) { return only_sections(c, {"sample"}); }
std::string eval_text(const Config &c) { return only_sections(c, {"eval"}); }

} // namespace theta
