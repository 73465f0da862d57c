#include "config.h"
#include "completion.h"
#include "data/solids.h"
#include "engine/networks/kind.h"
#include "engine/settings/toml_keys.h"
#include <algorithm>
#include <set>

namespace theta {

namespace {

// The configuration, key by key; kinds of networks and generators say their own.
void describe(Keys &keys, Config &c) {
  keys.section("");
  keys("name", c.name);
  keys("seed", c.seed);
  keys.section("data");
  keys("name", c.data.name);
  keys("folder", c.data.folder);
  keys("pool", c.data.pool, positive);
  keys("validation", c.data.validation, not_negative);
  keys("labels", c.data.labels, not_negative);
  keys("solids", c.data.solids, positive);
  keys("points", c.data.points, Limits{1, 1 << 22});
  keys("families", c.data.families);
  keys("signal", c.data.signal);
  keys("band", c.data.band, Limits{1e-3, 2});
  keys("side", c.data.side, Limits{1, 4096});
  keys("channels", c.data.channels, Limits{0, 3});
  keys.section("network");
  keys("kind", c.network.kind, network_kind_named);
  std::vector<std::vector<int>> widths{c.network.widths};
  widths.insert(widths.end(), c.others.begin(), c.others.end());
  keys("widths", widths, positive);
  if (widths.empty())
    throw InputError("network.widths: found an empty list, expected widths");
  c.network.widths = widths.front(), c.others.assign(widths.begin() + 1, widths.end());
  keys("unseen", c.unseen, positive);
  for (const auto &kind : network_kinds())
    kind->describe(keys, c.network);
  keys("activation", c.zoo.recipe.activation, activation_named);
  keys("initialisation", c.zoo.recipe.initialisation, initialisation_named);
  keys.section("zoo");
  describe(keys, c.zoo.recipe);
  keys("storage", c.zoo.storage);
  keys("from", c.zoo.from);
  keys.section("fit");
  keys("networks", c.fit.networks, not_negative);
  keys("first", c.fit.first, not_negative);
  c.generators.describe_fit(keys);
  keys.section("sample");
  keys("count", c.sample.count, positive);
  keys("batch", c.sample.batch, positive);
  keys("watch", c.sample.watch, not_negative);
  keys("complete", c.sample.complete);
  c.generators.describe_sample(keys);
  keys.section("eval");
  keys("networks", c.eval.networks, positive);
  keys("references", c.eval.references, positive);
  keys("wave", c.eval.wave, positive);
  keys("average", c.eval.average, positive);
  keys("ensemble", c.eval.ensemble, not_negative);
  keys("diversity", c.eval.diversity, not_negative);
  keys("closest", c.eval.closest, Limits{0, 1024});
  keys("lines", c.eval.lines, not_negative);
  keys("hessians", c.eval.hessians, not_negative);
  keys("hessian_images", c.eval.hessian_images, positive);
  keys("baselines", c.eval.baselines);
  keys("groups", c.eval.groups);
  keys("twin", c.eval.twin);
  keys("part", c.eval.part);
  keys("distance", c.eval.distance, distance_named);
  keys("noise", c.eval.noise, not_negative);
  keys.section("finetune");
  keys("networks", c.finetune.networks, not_negative);
  keys("every", c.finetune.every, positive);
  keys("lr", c.finetune.lr, Limits{1e-6, 1e3});
  keys("less", c.finetune.less, Limits{0, 1});
}

void check(const Config &c) {
  const auto one_of = [&](const char *key, const std::string &value, std::initializer_list<const char *> allowed) {
    std::string known;
    for (const char *name : allowed) {
      if (value == name)
        return;
      known += std::string(known.empty() ? "" : " or ") + name;
    }
    throw InputError(key, ": found '", value, "', expected ", known);
  };
  if (const auto names = dataset_names(); std::find(names.begin(), names.end(), c.data.name) == names.end())
    dataset_sizes(c.data.options()); // says which there are
  check_signal(c.data.options());
  if (c.data.channels == 2)
    throw InputError("data.channels: found 2, expected 1 (gray), 3 (colour) or 0 (as the first image)");
  check_part(c.sample.complete);
  if (!c.sample.complete.empty() && !c.generators.chosen().can_be_guided())
    throw InputError("sample.complete: found ", c.sample.complete, ", expected nothing for ", c.generators.name(),
                     ", which cannot be guided");
  if (c.sample.watch > 0 && c.generators.chosen().trajectory() == 0)
    throw InputError("sample.watch: found ", c.sample.watch, ", expected 0 for ", c.generators.name(),
                     ", whose way cannot be watched");
  one_of("zoo.storage", c.zoo.storage, {"f32", "bf16"});
  one_of("eval.part", c.eval.part, {"test", "validation"});
  for (const auto &kind : network_kinds())
    if (kind.get() != c.network.kind)
      kind->check_unused(c.network);
  if (c.zoo.from.empty())
    layout_of(c.network);
  check_groups(c.eval.groups, "eval.groups");
  check_recipe(c.zoo.recipe, c.network);
  c.generators.check();
  if (c.name.empty() || c.name.find('/') != std::string::npos || c.name.starts_with("."))
    throw InputError("name: found '", c.name, "', expected the name of a folder");
}

} // namespace

void check_groups(const std::vector<std::string> &groups, const std::string &where) {
  std::set<std::string> names{"training", "held_out", "gaussian", "pairs", "aligned_pairs"};
  for (const std::string &group : groups) {
    const auto equals = group.find('=');
    if (equals == std::string::npos || equals == 0 || equals + 1 == group.size())
      throw InputError(where, ": found '", group, "', expected NAME=FOLDER");
    const std::string name = group.substr(0, equals);
    if (name.starts_with("noise_") || name.starts_with("average_") || !names.insert(name).second)
      throw InputError(where, ": found a group named ", name, ", expected a name that no other group has");
  }
}

Config load_config(const std::filesystem::path &path, const std::vector<std::string> &overrides) {
  Config config;
  config.name = path.stem().string();
  read_toml(path, overrides, [&](Keys &keys) { describe(keys, config); });
  config.network.act = config.zoo.recipe.activation.front();
  try {
    if (config.network.kind->sees_places()) {
      const ImageFormat format = image_format(config.data.options());
      config.network.side = format.side, config.network.channels = format.channels;
    }
    check(config);
  } catch (const InputError &e) {
    throw InputError(path.string(), ": ", e.what());
  }
  return config;
}

std::string to_toml(const Config &config) {
  Config copy = config;
  return toml_text([&](Keys &keys) { describe(keys, copy); });
}

std::string zoo_text(const Config &c) { return sections_of(to_toml(c), {"data", "network", "zoo"}); }
std::string fit_text(const Config &c) { return sections_of(to_toml(c), {"fit"}); }
std::string sample_text(const Config &c) { return sections_of(to_toml(c), {"sample"}); }
std::string eval_text(const Config &c) { return sections_of(to_toml(c), {"eval"}); }
std::string finetune_text(const Config &c) { return sections_of(to_toml(c), {"finetune"}); }

} // namespace theta
