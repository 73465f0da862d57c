#include "graph.h"
#include "data/json.h"
#include "engine/settings/json_keys.h"
#include "kernels/device/names.h"
#include <cmath>
#include <limits>

namespace theta {

namespace {

constexpr const char *kind = "weight graph";

GraphTransformerShape shape_of(const GraphConfig &c, const GraphSlots &slots) {
  const FlowConfig &f = c.flow;
  return {slots,   f.width,     c.edge_width, f.layers,
          f.heads, f.features,  f.arithmetic, Conditions(f.conditions).shapes(),
          f.start, f.recompute, f.fused};
}

Tokens tokens_of(const WeightGraph &graph) { return {{}, graph.place()}; }

// "2.0.incoming.0.49": of networks of so many groups of units, of which group (or tensor), in which slot.
struct PlaceName {
  int groups;
  std::string slot;
  explicit PlaceName(const std::string &place) {
    const auto first = place.find('.'), second = place.find('.', first + 1);
    groups = std::stoi(place.substr(0, first)), slot = place.substr(second + 1);
  }
};

const Learned::Scale &nearest(const GraphScales &scales, const WeightGraph::Place &place) {
  if (const auto found = scales.find(place.name); found != scales.end())
    return found->second.scale;
  const PlaceName wanted(place.name);
  double least = std::numeric_limits<double>::infinity();
  const Learned::Scale *best = nullptr;
  for (const auto &[name, of] : scales) {
    const PlaceName other(name);
    const double distance = std::abs(wanted.groups - other.groups) + std::abs(place.depth - of.depth);
    if (other.slot == wanted.slot && distance < least)
      least = distance, best = &of.scale;
  }
  if (!best)
    throw InputError("graph: found networks with ", wanted.slot, ", expected none but with what was learned");
  return *best;
}

} // namespace

void describe(Keys &keys, GraphConfig &c) {
  describe(keys, c.flow,
           {"source", "draws", "balance", "augment", "noise", "objective", "weigh_by", "conditions", "drop", "start",
            "residual", "width"});
  keys({"edge_width", "numbers of an edge inside the model"}, c.edge_width, Limits{1, 1 << 14});
  describe(keys, c.flow,
           {"layers", "heads", "features", "warmup", "beta2", "accumulate", "recompute", "fused", "probe_every",
            "arithmetic", "recipe"});
}

std::vector<NetworkShape> shapes_of(const std::vector<NetworkFacts> &networks, const std::string &where) {
  std::vector<NetworkShape> all;
  for (const NetworkFacts &facts : networks) {
    if (!facts.shape)
      throw InputError(where, ": found networks of an unknown architecture, expected one whose units are known, for ",
                       "generator = graph");
    all.push_back(*facts.shape);
  }
  return all;
}

GraphTask graph_task(const GraphConfig &config, const std::vector<NetworkFacts> &networks,
                     const std::vector<std::size_t> &rows) {
  const auto shapes = shapes_of(networks, "fit");
  const GraphSlots slots = graph_slots(shapes);
  GraphTask task;
  std::vector<WeightGraph> graphs;
  std::map<std::string, std::size_t> first; // number of a place's elements; padding is 0
  std::size_t numbers = 1;
  for (std::size_t k = 0; k < shapes.size(); ++k) {
    const WeightGraph &graph = graphs.emplace_back(shapes[k], slots);
    std::vector<std::size_t> first_of, groups;
    for (const auto &[name, width, depth] : graph.places()) {
      const auto [at, added] = first.try_emplace(name, numbers);
      numbers += added ? std::size_t(width) : 0;
      first_of.push_back(at->second);
    }
    for (const auto &[place, number] : graph.elements())
      groups.push_back(place < 0 ? 0 : first_of[std::size_t(place)] + std::size_t(number));
    task.networks.push_back({TokenCoder(config.flow, networks[k], tokens_of(graph), std::move(groups)), rows[k]});
  }
  task.model = std::make_unique<GraphTransformer<float>>(shape_of(config, slots), std::move(graphs));
  return task;
}

GraphTask graph_task(const GraphConfig &config, const std::vector<NetworkShape> &learned, const NetworkFacts &wanted) {
  const GraphSlots slots = graph_slots(learned);
  const auto shapes = shapes_of({wanted}, "sample");
  WeightGraph graph(shapes[0], slots);
  GraphTask task;
  task.networks.push_back({TokenCoder(config.flow, wanted, tokens_of(graph), {}), 0});
  std::vector<WeightGraph> graphs{std::move(graph)};
  task.model = std::make_unique<GraphTransformer<float>>(shape_of(config, slots), std::move(graphs));
  return task;
}

GraphScales scales_of(const std::vector<NetworkShape> &learned, const Learned &from) {
  GraphScales all;
  const GraphSlots slots = graph_slots(learned);
  for (std::size_t k = 0; k < learned.size(); ++k) {
    const WeightGraph graph(learned[k], slots);
    std::vector<Learned::Scale *> scale;
    for (const auto &[name, width, depth] : graph.places()) {
      all[name].depth = depth;
      scale.push_back(&all[name].scale);
      scale.back()->mean.resize(std::size_t(width)), scale.back()->std.resize(std::size_t(width));
    }
    for (std::size_t e = 0; e < graph.size(); ++e)
      if (const auto &[place, number] = graph.elements()[e]; place >= 0) {
        scale[std::size_t(place)]->mean[std::size_t(number)] = from.tokens[k].mean[e];
        scale[std::size_t(place)]->std[std::size_t(number)] = from.tokens[k].std[e];
      }
  }
  return all;
}

Learned::Scale scale_for(const GraphScales &scales, const WeightGraph &graph) {
  std::vector<const Learned::Scale *> known;
  for (const auto &place : graph.places())
    known.push_back(&nearest(scales, place));
  Learned::Scale all;
  for (const auto &[place, number] : graph.elements()) {
    all.mean.push_back(place < 0 ? 0 : known[std::size_t(place)]->mean.at(std::size_t(number)));
    all.std.push_back(place < 0 ? 1 : known[std::size_t(place)]->std.at(std::size_t(number)));
  }
  return all;
}

void save_graph(const std::filesystem::path &path, const GraphDiffusion &g, const Stamp &stamp) {
  GraphConfig config = g.config;
  Json about = {{"kind", kind}, {"config", json_of([&](Keys &keys) { describe(keys, config); })}};
  std::vector<NetworkFacts> facts;
  put_architectures(about, g.networks);
  for (const ZooFormat &format : g.networks)
    facts.push_back(network_facts(format, "generator"));
  std::vector<TensorSource> tensors;
  for (const auto &[name, of] : g.scales)
    for (const auto &[what, values] : {std::pair{".mean", &of.scale.mean}, {".std", &of.scale.std}})
      tensors.push_back({"scale." + name + what, Dtype::f32, {std::int64_t(values->size())}, values->data()});
  static_assert(sizeof(ConditionRange) == 2 * sizeof(float));
  if (!g.ranges.empty())
    tensors.push_back({"conditions.range", Dtype::f32, {std::int64_t(g.ranges.size()), 2}, g.ranges.data()});
  const GraphTask task = graph_task(g.config, facts, std::vector<std::size_t>(facts.size(), 1));
  put_tensors(tensors, "", task.model->parameters(), g.weights);
  write_safetensors(path, tensors, metadata_of(about, stamp));
}

GraphDiffusion load_graph(const std::filesystem::path &path) {
  const Safetensors file(path);
  const std::string where = path.string();
  const Json about = about_generator(file, kind);
  GraphDiffusion g;
  read_json(field<Json>(about, "config", where), where, [&](Keys &keys) { describe(keys, g.config); });
  std::vector<NetworkFacts> facts;
  try {
    check(g.config.flow, graph_table);
    g.networks = architectures_of(about, where);
    for (const ZooFormat &format : g.networks)
      facts.push_back(network_facts(format, where));
    shapes_of(facts, where);
  } catch (const InputError &e) {
    throw InputError(where, ": ", e.what());
  }
  const GraphTask task = graph_task(g.config, facts, std::vector<std::size_t>(facts.size(), 1));
  const auto shapes = shapes_of(facts, where);
  Learned zero; // what it must have
  for (const FlowNetworks &of : task.networks)
    zero.tokens.push_back({std::vector<float>(of.coder.tokens().size()), std::vector<float>(of.coder.tokens().size())});
  g.scales = scales_of(shapes, zero);
  for (auto &[name, of] : g.scales) {
    const Shape size{std::int64_t(of.scale.mean.size())};
    of.scale = {file.read<float>("scale." + name + ".mean", size), file.read<float>("scale." + name + ".std", size)};
  }
  if (const std::size_t n = g.config.flow.conditions.size(); n > 0) {
    const auto ranges = file.read<float>("conditions.range", {std::int64_t(n), 2});
    for (std::size_t k = 0; k < n; ++k)
      g.ranges.push_back({ranges[2 * k], ranges[2 * k + 1]});
  }
  g.weights = read_tensors(file, "", task.model->parameters());
  return g;
}

} // namespace theta
