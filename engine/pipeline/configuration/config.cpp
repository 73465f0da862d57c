#include "config.h"
#include "data/solids.h"
#include "engine/networks/coded.h"
#include "engine/networks/kind.h"
#include "engine/networks/subset.h"
#include "engine/settings/nearest.h"
#include "engine/settings/toml_keys.h"
#include "engine/tasks/fields/completion.h"
#include <algorithm>
#include <set>

namespace theta {

namespace {

// The configuration, key by key; kinds of networks and generators say their own.
void describe(Keys &keys, Config &c) {
  keys.section("");
  keys({"name", "of the run, and of its folder under runs/out"}, c.name);
  keys({"seed", "of every random number"}, c.seed);
  keys.section("data");
  keys({"name", "fashion-mnist, idx, cifar10, cifar100, images, solids, meshes or text"}, c.data.name);
  keys({"folder", "where the data are, for names that need one"}, c.data.folder);
  keys({"pool", "images are averaged over squares of this side"}, c.data.pool, positive);
  keys({"validation", "last images of the training part, kept from training"}, c.data.validation, not_negative);
  keys({"labels", "classes that are kept; none: all"}, c.data.labels, not_negative);
  keys({"solids", "number of procedural bodies"}, c.data.solids, positive);
  keys({"points", "points that a body's signal is taken at"}, c.data.points, Limits{1, 1 << 22});
  keys({"families", "kinds of procedural bodies; none: all"}, c.data.families);
  keys({"signal", "of bodies: occupancy or distance"}, c.data.signal);
  keys({"band", "distances are cut at this"}, c.data.band, Limits{1e-3, 2});
  keys({"side", "images are resized to this side"}, c.data.side, Limits{1, 4096});
  keys({"channels", "1 gray, 3 colour, 0 as the first image"}, c.data.channels, Limits{0, 3});
  keys({"alphabet", "of text: folded (lower-case ASCII without accents) or bytes"}, c.data.alphabet);
  keys.section("network");
  NetworkShape &network = whole_of(c.network);
  keys({"kind", "what a network is: mlp, cnn, field, pixels, resnet, vit, convnext or gpt"}, network.kind,
       network_kind_named);
  std::vector<std::vector<int>> widths{network.widths};
  widths.insert(widths.end(), c.others.begin(), c.others.end());
  keys({"widths", "inputs, hidden layers and outputs; a list of such lists is a family of architectures"}, widths,
       positive);
  if (widths.empty())
    throw InputError("network.widths: found an empty list, expected widths");
  network.widths = widths.front(), c.others.assign(widths.begin() + 1, widths.end());
  keys({"unseen", "architectures that the generator never sees and is judged on"}, c.unseen, positive);
  for (const auto &kind : network_kinds()) {
    NetworkShape other;
    kind->describe(keys, kind.get() == network.kind ? network : other);
    kind->check_unused(other);
  }
  keys({"subset", "names of the tensors that networks differ in ('layer4.1.bn*', 'fc.*'), on one trunk; none: all"},
       c.subset);
  keys({"low_rank",
        "of network.subset: matrices are the trunk's and a change of this rank, B·A, which is the row; 0: whole"},
       c.low_rank, Limits{0, 4096});
  keys({"fixed_a", "of network.low_rank: A is drawn once, the same for all, and rows are B alone"}, c.fixed_a);
  keys({"activation", "of hidden units; a list: each run draws one"}, c.zoo.recipe.activation, activation_named);
  keys({"initialisation", "of weights; a list: each run draws one"}, c.zoo.recipe.initialisation, initialisation_named);
  describe(keys, c.network.form);
  network.kind->describe_table(keys, network);
  keys.section("zoo");
  describe(keys, c.zoo.recipe);
  keys({"storage", "of the weights: f32 or bf16"}, c.zoo.storage);
  keys({"from", "a zoo to use instead of training one"}, c.zoo.from);
  keys.section("fit");
  std::vector<std::vector<int>> family;
  for (const NetworkShape &shape : c.family)
    family.push_back(shape.widths);
  keys({"family", "of a family's member: the widths of all that its generator has seen"}, family, positive);
  c.family.assign(family.size(), c.network);
  for (std::size_t i = 0; i < family.size(); ++i)
    c.family[i].widths = family[i];
  keys({"networks", "training networks that are used; 0: all"}, c.fit.networks, not_negative);
  keys({"first", "how many of them are skipped first"}, c.fit.first, not_negative);
  keys({"about_line", "whether generators learn what a ridge regression on their conditions leaves of networks"},
       c.fit.about_line);
  keys({"codes", "of networks with codes (network.form) generators learn weights; codes and logarithms of scales as "
                 "numbers (ordinal); or codes as categories (categorical)"},
       c.fit.codes, codes_as_named);
  keys({"shown",
        "of fit.about_line: mini-batches by which samples are told, in place of conditions: they are drawn about "
        "what looking at these makes of the start of training; 0: none"},
       c.fit.shown, Limits{0, 1 << 16});
  keys({"without", "of text: classes that no network has read which generators see; samples are asked for them"},
       c.fit.without);
  c.generators.describe_fit(keys);
  keys.section("sample");
  keys({"count", "networks that are generated"}, c.sample.count, positive);
  keys({"batch", "networks generated at a time"}, c.sample.batch, positive);
  keys({"watch", "networks whose ways from noise are stored"}, c.sample.watch, not_negative);
  keys({"shown",
        "of fit.shown: a text file, or a folder of them, that all samples are shown; none: what held-out networks "
        "are, one after another"},
       c.sample.shown);
  keys({"complete", "part of held-out signals that fields are given, the rest to be completed"}, c.sample.complete);
  c.generators.describe_sample(keys);
  keys.section("eval");
  describe(keys, c.eval);
  for (const auto &[name, settings] : c.of_stages.all()) {
    keys.section(name);
    settings->describe(keys);
  }
}

void check(const Config &c) {
  if (const auto names = dataset_names(); std::find(names.begin(), names.end(), c.data.name) == names.end())
    dataset_sizes(c.data.options()); // says which there are
  check_signal(c.data.options());
  alphabet_named(c.data.alphabet);
  if (c.data.channels == 2)
    throw InputError("data.channels: found 2, expected 1 (gray), 3 (colour) or 0 (as the first image)");
  check_part(c.sample.complete);
  if (!c.sample.complete.empty() && !c.generators.chosen().can_be_guided())
    throw InputError("sample.complete: found ", c.sample.complete, ", expected nothing for ", c.generators.name(),
                     ", which cannot be guided");
  if (c.sample.watch > 0 && c.generators.chosen().trajectory() == 0)
    throw InputError("sample.watch: found ", c.sample.watch, ", expected 0 for ", c.generators.name(),
                     ", whose way cannot be watched");
  if (c.fit.about_line && (c.generators.chosen().conditions().empty() || !c.others.empty() || c.sample.watch > 0 ||
                           !c.sample.complete.empty()))
    throw InputError("fit.about_line: found true, expected a generator with conditions, networks of one architecture, "
                     "and neither sample.watch nor sample.complete");
  const bool codes = c.fit.codes != CodesAs::weights;
  if (codes && (c.fit.about_line || !c.others.empty() || c.sample.watch > 0 || !c.sample.complete.empty()))
    throw InputError("fit.codes: found ", name_of(c.fit.codes),
                     ", expected networks of one architecture, and none of fit.about_line, sample.watch and "
                     "sample.complete");
  if (codes && c.zoo.from.empty())
    coded_of(c.network, c.fit.codes); // has some
  if (c.fit.codes == CodesAs::categorical && !c.generators.chosen().learns_categories())
    throw InputError("fit.codes: found categorical, expected weights or ordinal for ", c.generators.name());
  if (c.generators.chosen().hears_nothing() && !c.generators.chosen().conditions().empty() && !c.fit.about_line)
    throw InputError("fit.", c.generators.name(),
                     ".drop: found 1, expected less, or fit.about_line: no condition would be "
                     "told");
  if (c.fit.shown > 0 && (!c.fit.about_line || !c.zoo.from.empty() || !c.generators.chosen().told().empty()))
    throw InputError("fit.shown: found ", c.fit.shown,
                     ", expected fit.about_line with it, a zoo of this run, and no "
                     "sample.prompt");
  if (!c.sample.shown.empty() && c.fit.shown == 0)
    throw InputError("sample.shown: found '", c.sample.shown, "', expected fit.shown with it");
  const Conditions conditions(c.generators.chosen().conditions());
  for (const Condition &told : conditions.all())
    if (c.fit.about_line && (told.classes > 0 || told.of_start))
      throw InputError("fit.about_line: found the condition ", told.name,
                       ", expected numbers of the network that is wanted");
  if (c.zoo.storage != "f32" && c.zoo.storage != "bf16")
    throw InputError("zoo.storage: found '", c.zoo.storage, "', expected f32 or bf16");
  if (c.zoo.from.empty())
    layout_of(c.network);
  check(c.eval);
  for (const auto &[name, settings] : c.of_stages.all())
    settings->check();
  check_recipe(c.zoo.recipe, c.network);
  c.generators.check();
  if (c.name.empty() || c.name.find('/') != std::string::npos || c.name.starts_with("."))
    throw InputError("name: found '", c.name, "', expected the name of a folder");
}

} // namespace

Config load_config(const std::filesystem::path &path, const std::vector<std::string> &overrides) {
  Config config;
  config.name = path.stem().string();
  read_toml(path, overrides, [&](Keys &keys) { describe(keys, config); });
  config.network.act = config.zoo.recipe.activation.front();
  try {
    config.network.kind->look_at(config.network, [&] { return image_format(config.data.options()); });
    if (config.network.kind == network_kind_named("subset"))
      throw InputError("network.kind: found subset, expected the kind of whole networks, and network.subset");
    if (is_coded(config.network))
      throw InputError("network.kind: found coded, expected the kind of whole networks, network.form and fit.codes");
    if (!config.subset.empty() && !config.others.empty())
      throw InputError("network.subset: found it with several architectures, expected one, on one trunk");
    if (!config.subset.empty()) { // it is the rows that have a form
      const NetworkForm form = std::exchange(config.network.form, {});
      config.network = subset_of(config.network, config.subset, config.low_rank, config.fixed_a);
      config.network.form = form;
    }
    if (config.fixed_a && config.low_rank == 0)
      throw InputError("network.fixed_a: found true, expected network.low_rank with it");
    if (config.subset.empty() && config.low_rank > 0)
      throw InputError("network.low_rank: found ", config.low_rank, ", expected network.subset with it");
    check(config);
    for (NetworkShape &shape : config.family) { // of the member's kind, whatever was read first
      const auto widths = std::move(shape.widths);
      shape = config.network, shape.widths = widths;
    }
  } catch (const InputError &e) {
    throw InputError(path.string(), ": ", e.what());
  }
  return config;
}

std::vector<ListedKey> configuration_keys(const std::string &generator, const std::string &kind) {
  Config c;
  auto all = listed_keys([&](Keys &keys) {
    describe(keys, c);
    for (const auto &each : network_kinds()) {
      NetworkShape shape;
      each->describe_table(keys, shape);
    }
  });
  // What others of its like have, and it has not, is left out.
  const auto keep = [&](const std::string &one, const std::vector<std::string> &names, auto describe_one) {
    if (one.empty())
      return;
    if (std::find(names.begin(), names.end(), one) == names.end())
      throw InputError("keys: found '", one, "', expected ", nearest_first(names, one).front(), " or another of them");
    std::set<std::string> mine, others;
    for (const std::string &name : names)
      for (const ListedKey &key : listed_keys([&](Keys &keys) { describe_one(keys, name); }))
        (name == one ? mine : others).insert(key.path);
    std::erase_if(all, [&](const ListedKey &key) { return others.contains(key.path) && !mine.contains(key.path); });
  };
  keep(generator, c.generators.names(),
       [&](Keys &keys, const std::string &name) { c.generators.describe_one(keys, name); });
  std::vector<std::string> kinds;
  for (const auto &each : network_kinds())
    kinds.emplace_back(each->name());
  keep(kind, kinds, [&](Keys &keys, const std::string &name) {
    keys.section("network");
    NetworkShape shape;
    network_kind_named(name)->describe(keys, shape);
    network_kind_named(name)->describe_table(keys, shape);
  });
  return all;
}

std::string to_toml(const Config &config) {
  Config copy = config;
  return toml_text([&](Keys &keys) { describe(keys, copy); });
}

std::string text_of_sections(const Config &c, const std::vector<std::string> &sections) {
  return sections_of(to_toml(c), sections);
}
std::string zoo_text(const Config &c) { return text_of_sections(c, {"data", "network", "zoo"}); }
std::string fit_text(const Config &c) { return text_of_sections(c, {"fit"}); }
std::string sample_text(const Config &c) { return text_of_sections(c, {"sample"}); }
std::string eval_text(const Config &c) { return text_of_sections(c, {"eval"}); }

} // namespace theta
