#include "source.h"
#include "data/json.h"
#include "engine/generators/conditions.h"
#include "engine/zoo/learning.h"
#include "engine/zoo/mixture.h"
#include <algorithm>

namespace theta {

namespace {

// How many of so many training networks are seen.
std::size_t seen_of(std::size_t training, const FitConfig &fit) {
  const auto first = std::size_t(fit.first), networks = std::size_t(fit.networks);
  if (first + std::max<std::size_t>(networks, 1) > training)
    throw InputError(networks > 0 ? "fit.networks" : "fit.first", ": found ", networks > 0 ? networks : first,
                     networks > 0 && first > 0 ? text(" from ", first, " on") : "", ", expected at most ", training,
                     " in all, the zoo's training networks");
  return networks > 0 ? networks : training - first;
}

} // namespace

Split split_of(const ZooReader &zoo, const FitConfig &fit) {
  Split split;
  const auto held_out = zoo.integers("held_out");
  std::vector<float> left_out(zoo.rows()); // what a network has read of fit.without
  for (const std::string &name : fit.without) {
    if (!zoo.has_column(share_column(name)))
      throw InputError("fit.without: found '", name, "', of which ", zoo.path().string(), " has no shares");
    const auto share = zoo.floats(share_column(name));
    for (std::size_t row = 0; row < zoo.rows(); ++row)
      left_out[row] += share[row];
  }
  for (std::size_t row = 0; row < zoo.rows(); ++row) {
    if (held_out[row])
      split.held_out.push_back(row);
    else if (left_out[row] == 0)
      split.training.push_back(row);
    if (held_out[row] && (fit.without.empty() || left_out[row] > 0))
      split.asked.push_back(row);
  }
  const std::size_t seen = seen_of(split.training.size(), fit);
  split.training.erase(split.training.begin(), split.training.begin() + fit.first);
  split.training.resize(seen);
  return split;
}

std::string zoo_key_of(const std::filesystem::path &zoo) {
  if (!std::filesystem::exists(zoo / "index.json"))
    return "";
  const ZooReader reader(zoo);
  return parse_json(reader.format().facts, zoo.string()).value("key", "");
}

namespace {

std::string known_of(const DatasetSizes &sizes) {
  std::string all;
  for (const std::string &name : sizes.names)
    all += (all.empty() ? ": " : ", ") + name;
  return all;
}

// How many rows of the zoo generators may see, and may not, if no run diverges.
std::pair<std::size_t, std::size_t> expected_split(const ZooRecipe &r, std::uint64_t seed, const FitConfig &fit,
                                                   const DatasetSizes &sizes) {
  std::vector<std::size_t> without;
  for (const std::string &name : fit.without) {
    const auto found = std::find(sizes.names.begin(), sizes.names.end(), name);
    if (sizes.vocabulary == 0 || found == sizes.names.end())
      throw InputError("fit.without: found '", name, "', expected classes of text", known_of(sizes));
    without.push_back(std::size_t(found - sizes.names.begin()));
  }
  const auto checkpoints = checkpoint_steps(r, seed, 0).size();
  const std::size_t items = r.networks > 1 ? std::size_t(r.networks) : checkpoints,
                    each = r.networks > 1 ? checkpoints : 1;
  std::size_t held_out = 0, left_out = 0;
  for (std::size_t i = 0; i < items; ++i) {
    held_out += is_held_out(long(i), r.held_out);
    if (without.empty() || is_held_out(long(i), r.held_out))
      continue;
    const auto shares = shares_of(r, seed, long(i), sizes.classes);
    left_out += std::any_of(without.begin(), without.end(), [&](std::size_t c) { return shares[c] > 0; });
  }
  return {(items - held_out - left_out) * each, held_out * each};
}

// What a generator is told must not come from the images that its networks are judged on.
void check_conditions(const Config &c, const NetworkShape &shape, const DatasetSizes &sizes) {
  const Conditions conditions(c.generators.chosen().conditions());
  for (std::string column : conditions.columns()) {
    if (column.starts_with(rank_prefix))
      column.erase(0, rank_prefix.size());
    if (c.zoo.from.empty() && column.starts_with("validation_") && sizes.validation == 0)
      throw InputError("fit.", c.generators.name(), ".conditions: found ", column,
                       " with data.validation = 0, expected ", "images that are kept from training for it");
    for (const ScoredPart &part : learning_of(shape).scored_on(sizes))
      if (part.part == c.eval.part && (column == part.loss || column == part.quality)) {
        const bool test = c.eval.part == "test";
        const std::string other = (test ? "validation" : "test") + column.substr(column.find('_'));
        throw InputError("fit.", c.generators.name(), ".conditions: found ", column, ", expected ", other, ": on the ",
                         c.eval.part, " images networks are judged (eval.part)");
      }
  }
}

} // namespace

ZooTask task_of(const Config &c) {
  return {.recipe = c.zoo.recipe,
          .network = c.network,
          .seed = c.seed,
          .storage = c.zoo.storage == "bf16" ? Dtype::bf16 : Dtype::f32};
}

Source source_of(const Config &c, const DatasetSizes &sizes) {
  if (c.zoo.from.empty()) {
    check_conditions(c, c.network, sizes);
    const auto [training, held_out] = expected_split(c.zoo.recipe, c.seed, c.fit, sizes);
    return {seen_of(training, c.fit), held_out, {layout_of(c.network).places(), c.network}, task_of(c.network, sizes)};
  }
  const ZooReader zoo(c.zoo.from);
  const Split split = split_of(zoo, c.fit);
  Source source{split.training.size(), split.held_out.size(), network_facts(zoo.format(), c.zoo.from), nullptr};
  if (const auto &shape = source.facts.shape)
    check_conditions(c, *shape, sizes), source.task = task_of(*shape, sizes, &zoo);
  return source;
}

GeneratorTask generator_task(const Config &c, const DatasetSizes &sizes, Backend backend, NetworkFacts networks,
                             std::size_t training) {
  const bool codes = c.fit.codes != CodesAs::weights;
  if (codes && networks.shape && !is_coded(*networks.shape)) {
    const NetworkShape coded = coded_of(*networks.shape, c.fit.codes);
    networks = {layout_of(coded).places(), coded};
  }
  GeneratorTask task{std::move(networks), training,       c.seed, backend,
                     c.sample.count,      c.sample.batch, {},     !c.sample.complete.empty()};
  if (c.zoo.from.empty() && !codes)
    task.stream = StreamTask{c.zoo.recipe, c.network, sizes};
  for (const NetworkShape &shape : c.family)
    task.family.push_back({{layout_of(shape).places(), shape}, training});
  return task;
}

} // namespace theta
