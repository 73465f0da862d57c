// A flattened network as a graph, from what its kind says of its symmetries: exchangeable units (channels) are nodes,
// weights between two of them are edges (a convolution's with all the taps of its kernel), and what only one unit has
// hangs on its node: biases, norms, weights to inputs and outputs, which keep their identity. One node more has what no
// unit has. A permutation of units permutes nodes and edges and nothing else. Any depth; a residual stream is one group
// of units, with edges to every layer that it feeds and from every layer that feeds it.
//
// What nodes hold stands in slots ("incoming.0.49": weights of 49 inputs), the same for all the architectures that one
// generator sees; what a network does not have is padding. So stand what edges hold: kernels of one size share a slot.
#pragma once
#include "engine/networks/network.h"
#include <memory>

namespace theta {

struct GraphSlot {
  std::string name;
  int width, at; // elements, and its first among a node's or an edge's
  bool operator==(const GraphSlot &) const = default;
};

// The slots that some architectures need.
struct GraphSlots {
  std::vector<GraphSlot> node, edge;
  int node_width() const { return node.empty() ? 0 : node.back().at + node.back().width; }
  int edge_width() const { return edge.empty() ? 0 : edge.back().at + edge.back().width; }
  bool operator==(const GraphSlots &) const = default;
};
GraphSlots graph_slots(const std::vector<NetworkShape> &); // throws InputError as weight_graph does

class WeightGraph {
public:
  // Throws InputError where the slots have no place for something that the networks have, or where a weight belongs to
  // more than two units, or to none that it comes into or none that it leaves.
  WeightGraph(const NetworkShape &, const GraphSlots &);

  int nodes() const { return nodes_; }
  int edges() const { return int(target_.size()); }
  const std::vector<std::int32_t> &target() const { return target_; } // [edges]: the node whose weights it is one of
  const std::vector<std::int32_t> &source() const { return source_; }
  // Both, and every node's ends, as kernels/operations/edges.h has them: target, source, first, other, end.
  std::vector<std::int32_t> index() const;

  std::size_t node_elements() const { return std::size_t(nodes_) * std::size_t(node_width_); }
  std::size_t size() const { return place_.size(); }                // S: nodes' elements, then edges'
  const std::vector<std::int32_t> &place() const { return place_; } // [S]: which weight stands there, −1 for padding

  // What tells nodes and edges apart where order must not: of what type they are, how far from the inputs and the
  // outputs, how many weights come in and go out.
  static constexpr int node_features = 10, edge_features = 8;
  const std::vector<float> &features_of_nodes() const { return node_feature_; } // [nodes, node_features]
  const std::vector<float> &features_of_edges() const { return edge_feature_; } // [edges, edge_features]

  // What exchangeable things have in common: a slot of a group's units ("2.0.incoming.0.49": of networks of two groups,
  // the first), or of a tensor's edges. The name tells no sizes of layers: the same place of networks of other widths
  // has the same name.
  struct Place {
    std::string name;
    int width;    // elements
    double depth; // how far along the network, 0 to 1: 1 of what no unit has
  };
  const std::vector<Place> &places() const { return places_; }
  struct Element {
    std::int32_t place = -1, number = 0; // which place, and which of its elements; −1 for padding
  };
  const std::vector<Element> &elements() const { return elements_; } // [S]

private:
  int nodes_, node_width_;
  std::vector<std::int32_t> target_, source_, place_;
  std::vector<float> node_feature_, edge_feature_;
  std::vector<Place> places_;
  std::vector<Element> elements_;
};

} // namespace theta
