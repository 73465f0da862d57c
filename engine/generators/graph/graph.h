// The graph generator whole: its settings, what a trained one is, and its file.
#pragma once
#include "engine/generators/flow/fit.h"
#include "graph_transformer.h"

namespace theta {

struct GraphConfig {
  FlowConfig flow; // of its settings those of [fit.graph]
  int edge_width = 32;
  GraphConfig() { flow.layers = 4; }
};

void describe(Keys &, GraphConfig &);                   // the settings of [fit.graph]
inline constexpr const char *graph_table = "fit.graph"; // where they stand

// Mean and deviation of what stands in one slot in one place of networks of some depth, whatever its widths are.
struct PlaceScale {
  Learned::Scale scale;
  double depth = 0; // WeightGraph::Place
};
using GraphScales = std::map<std::string, PlaceScale>;

// A trained one, in host memory.
struct GraphDiffusion {
  GraphConfig config;
  std::vector<ZooFormat> networks; // of the architectures that it has learned
  GraphScales scales;
  std::vector<ConditionRange> ranges;
  std::vector<float> weights;
};

// The architectures of networks; throws InputError, naming `where`, for one that theta does not know.
std::vector<NetworkShape> shapes_of(const std::vector<NetworkFacts> &, const std::string &where);

// What a training needs of networks of these architectures, and its model.
struct GraphTask {
  std::vector<FlowNetworks> networks;
  std::unique_ptr<FlowModel<float>> model;
};
GraphTask graph_task(const GraphConfig &, const std::vector<NetworkFacts> &, const std::vector<std::size_t> &rows);

// The same to generate networks of one architecture, which need not be among those `learned`. Throws InputError where
// they have something that no learned one has.
GraphTask graph_task(const GraphConfig &, const std::vector<NetworkShape> &learned, const NetworkFacts &wanted);

// What was learned, by the names of places; and back for one architecture: where its depth was never seen, as the
// nearest that was.
GraphScales scales_of(const std::vector<NetworkShape> &learned, const Learned &);
Learned::Scale scale_for(const GraphScales &, const WeightGraph &);

// One self-contained file. Atomic. Throws Error.
void save_graph(const std::filesystem::path &, const GraphDiffusion &, const Stamp &);
// Throws InputError where the file is damaged or another generator's.
GraphDiffusion load_graph(const std::filesystem::path &);

} // namespace theta
