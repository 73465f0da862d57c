#include "graph.h"
#include "engine/networks/kind.h"
#include <algorithm>
#include <cmath>
#include <map>

namespace theta {

namespace {

// A unit that an element belongs to.
struct Owner {
  std::size_t group, unit;
  UnitAxis::Role role;
};

// Of each element of a tensor: whose it is. Weights between two units have two owners.
std::vector<std::vector<Owner>> owners_of(const TensorPlace &tensor, std::size_t index, const Symmetries &groups) {
  std::vector<std::vector<Owner>> all(elements_of(tensor));
  for (std::size_t g = 0; g < groups.size(); ++g)
    for (const UnitAxis &axis : groups[g].axes) {
      if (axis.tensor != index)
        continue;
      std::size_t inner = std::size_t(axis.run);
      for (std::size_t d = std::size_t(axis.axis) + 1; d < tensor.shape.size(); ++d)
        inner *= std::size_t(tensor.shape[d]);
      for (std::size_t e = 0; e < all.size(); ++e)
        all[e].push_back({g, e / inner % std::size_t(groups[g].units), axis.role});
    }
  return all;
}

const char *name_of(UnitAxis::Role role) {
  return role == UnitAxis::Role::incoming ? "incoming" : role == UnitAxis::Role::bias ? "bias" : "outgoing";
}

// Calls unit(tensor, slot, element, owner), edge(tensor, slot, element, target, source), rest(slot, element) for every
// element; slots by their names without their widths.
template <class Unit, class Edge, class Rest>
void take_apart(const Layout &layout, const Symmetries &groups, Unit unit, Edge edge, Rest rest) {
  std::map<std::pair<std::size_t, UnitAxis::Role>, int> before; // own tensors of a group in a role
  int others = 0;
  for (std::size_t k = 0; k < layout.places().size(); ++k) {
    const TensorPlace &tensor = layout.places()[k];
    const auto owners_of_all = owners_of(tensor, k, groups);
    const auto &first = owners_of_all.front();
    if (first.size() > 2)
      throw InputError("graph: '", tensor.name, "' belongs to ", first.size(),
                       " groups of units, expected two at most: a weight leads from one unit to another");
    std::string slot;
    if (first.size() == 1)
      slot = text(name_of(first[0].role), ".", before[{first[0].group, first[0].role}]++);
    else if (first.empty())
      slot = text("rest.", others++);
    for (std::size_t e = 0; e < owners_of_all.size(); ++e) {
      const auto &owners = owners_of_all[e];
      if (owners.empty())
        rest(slot, tensor.offset + e);
      else if (owners.size() == 1)
        unit(slot, tensor.offset + e, owners[0]);
      else {
        const bool ordered = owners[0].role == UnitAxis::Role::incoming;
        const Owner &target = owners[ordered ? 0 : 1], &source = owners[ordered ? 1 : 0];
        if (target.role != UnitAxis::Role::incoming || source.role != UnitAxis::Role::outgoing)
          throw InputError("graph: '", tensor.name,
                           "' belongs to two groups of units, expected one that it comes into and one that it leaves");
        edge(k, tensor.offset + e, target, source);
      }
    }
  }
}

// What one network holds: its nodes, group by group, and last the one of the rest; its edges, tensor by tensor.
struct Parts {
  struct Piece {
    std::string slot; // with its width
    std::vector<std::uint32_t> elements;
  };
  struct Node {
    std::size_t group; // groups.size(): the rest
    std::vector<Piece> pieces;
  };
  struct Edge {
    std::size_t tensor, target_group, source_group;
    std::int32_t target, source;
    Piece taps;
  };
  std::vector<Node> nodes;
  std::vector<Edge> edges;
};

Parts parts_of(const NetworkShape &shape) {
  const Layout layout = layout_of(shape);
  const Symmetries groups = shape.kind->symmetries(shape);
  Parts all;
  std::vector<std::size_t> first_of;
  for (std::size_t g = 0; g < groups.size(); ++g) {
    first_of.push_back(all.nodes.size());
    all.nodes.resize(all.nodes.size() + std::size_t(groups[g].units), {g, {}});
  }
  all.nodes.push_back({groups.size(), {}});
  const auto put = [](Parts::Node &node, const std::string &slot, std::size_t element) {
    if (node.pieces.empty() || node.pieces.back().slot != slot)
      node.pieces.push_back({slot, {}});
    node.pieces.back().elements.push_back(std::uint32_t(element));
  };
  std::map<std::array<std::size_t, 3>, std::size_t> edge_of; // tensor, target, source
  take_apart(
      layout, groups,
      [&](const std::string &slot, std::size_t element, const Owner &owner) {
        put(all.nodes[first_of[owner.group] + owner.unit], slot, element);
      },
      [&](std::size_t tensor, std::size_t element, const Owner &target, const Owner &source) {
        const std::size_t to = first_of[target.group] + target.unit, from = first_of[source.group] + source.unit;
        const auto [at, added] = edge_of.try_emplace({tensor, to, from}, all.edges.size());
        if (added)
          all.edges.push_back({tensor, target.group, source.group, std::int32_t(to), std::int32_t(from), {}});
        all.edges[at->second].taps.elements.push_back(std::uint32_t(element));
      },
      [&](const std::string &slot, std::size_t element) { put(all.nodes.back(), slot, element); });
  for (Parts::Node &node : all.nodes)
    for (Parts::Piece &piece : node.pieces)
      piece.slot = text(piece.slot, ".", piece.elements.size());
  for (Parts::Edge &edge : all.edges)
    edge.taps.slot = text("taps.", edge.taps.elements.size());
  return all;
}

int at_of(const std::vector<GraphSlot> &slots, const Parts::Piece &piece) {
  for (const GraphSlot &slot : slots)
    if (slot.name == piece.slot)
      return slot.at;
  std::string known;
  for (const GraphSlot &slot : slots)
    known += (known.empty() ? "" : ", ") + slot.name;
  throw InputError("graph: found networks with ", piece.slot, ", expected none but with ", known);
}

float size_feature(std::size_t count) { return float(std::log2(double(std::max<std::size_t>(count, 1))) / 8); }

} // namespace

GraphSlots graph_slots(const std::vector<NetworkShape> &shapes) {
  GraphSlots all;
  const auto need = [](std::vector<GraphSlot> &slots, int end, const Parts::Piece &piece) {
    if (std::none_of(slots.begin(), slots.end(), [&](const GraphSlot &slot) { return slot.name == piece.slot; }))
      slots.push_back({piece.slot, int(piece.elements.size()), end});
  };
  for (const NetworkShape &shape : shapes) {
    const Parts parts = parts_of(shape);
    for (const auto &node : parts.nodes)
      for (const auto &piece : node.pieces)
        need(all.node, all.node_width(), piece);
    for (const auto &edge : parts.edges)
      need(all.edge, all.edge_width(), edge.taps);
  }
  return all;
}

WeightGraph::WeightGraph(const NetworkShape &shape, const GraphSlots &slots)
    : nodes_(0), node_width_(slots.node_width()) {
  const Parts parts = parts_of(shape);
  const std::size_t width = std::size_t(node_width_), edge_width = std::size_t(slots.edge_width());
  const std::size_t groups = parts.nodes.back().group; // hidden layers, of a chain
  nodes_ = int(parts.nodes.size());
  place_.assign(parts.nodes.size() * width + parts.edges.size() * edge_width, -1);
  names_.assign(place_.size(), "");
  const auto put = [&](std::size_t at, const Parts::Piece &piece, const std::string &where) {
    for (std::size_t e = 0; e < piece.elements.size(); ++e) {
      place_[at + e] = std::int32_t(piece.elements[e]);
      names_[at + e] = text(where, piece.slot, "#", e);
    }
  };
  for (std::size_t n = 0; n < parts.nodes.size(); ++n)
    for (const auto &piece : parts.nodes[n].pieces)
      put(n * width + std::size_t(at_of(slots.node, piece)), piece, text(groups, ".", parts.nodes[n].group, "."));
  std::vector<std::size_t> incoming(parts.nodes.size(), 0), outgoing = incoming, units(groups + 1, 0);
  for (std::size_t e = 0; e < parts.edges.size(); ++e) {
    const auto &edge = parts.edges[e];
    put(parts.nodes.size() * width + e * edge_width + std::size_t(at_of(slots.edge, edge.taps)), edge.taps,
        text(groups, ".", edge.tensor, "."));
    target_.push_back(edge.target), source_.push_back(edge.source);
    incoming[std::size_t(edge.target)] += edge.taps.elements.size();
    outgoing[std::size_t(edge.source)] += edge.taps.elements.size();
  }
  for (std::size_t n = 0; n < parts.nodes.size(); ++n) {
    ++units[parts.nodes[n].group];
    for (const auto &piece : parts.nodes[n].pieces)
      if (piece.slot.starts_with("incoming"))
        incoming[n] += piece.elements.size();
      else if (piece.slot.starts_with("outgoing"))
        outgoing[n] += piece.elements.size();
  }
  // Of a group, from the inputs and from the outputs: 1 for the next to them, 1/2 for one further, ...
  const auto from_inputs = [&](std::size_t group) { return 1 / float(1 + group); };
  const auto from_outputs = [&](std::size_t group) { return 1 / float(groups - group); };
  for (std::size_t n = 0; n < parts.nodes.size(); ++n) {
    const auto &node = parts.nodes[n];
    const bool rest = node.group == groups;
    const auto holds = [&](const char *what) {
      return float(std::any_of(node.pieces.begin(), node.pieces.end(),
                               [&](const Parts::Piece &piece) { return piece.slot.starts_with(what); }));
    };
    const float all[node_features] = {float(!rest),
                                      float(rest),
                                      holds("incoming"),
                                      holds("outgoing"),
                                      rest ? 0 : from_inputs(node.group),
                                      rest ? 0 : from_outputs(node.group),
                                      rest ? 0 : float(node.group + 1) / float(groups + 1),
                                      size_feature(units[node.group]),
                                      size_feature(incoming[n]),
                                      size_feature(outgoing[n])};
    node_feature_.insert(node_feature_.end(), all, all + node_features);
  }
  for (const auto &edge : parts.edges) {
    const float all[edge_features] = {1,
                                      float(edge.target_group == edge.source_group),
                                      from_inputs(edge.source_group),
                                      from_outputs(edge.target_group),
                                      float(edge.target_group + edge.source_group + 2) / float(2 * groups + 2),
                                      size_feature(units[edge.source_group]),
                                      size_feature(units[edge.target_group]),
                                      size_feature(edge.taps.elements.size())};
    edge_feature_.insert(edge_feature_.end(), all, all + edge_features);
  }
}

std::vector<std::int32_t> WeightGraph::index() const {
  using End = std::pair<std::int32_t, std::int32_t>;                    // node at the other end, 2·edge + side
  std::vector<std::vector<End>> ends(static_cast<std::size_t>(nodes_)); // other, end
  for (std::size_t e = 0; e < target_.size(); ++e) {
    ends[std::size_t(target_[e])].emplace_back(source_[e], std::int32_t(2 * e));
    ends[std::size_t(source_[e])].emplace_back(target_[e], std::int32_t(2 * e + 1));
  }
  std::vector<std::int32_t> all = target_, others, which;
  all.insert(all.end(), source_.begin(), source_.end());
  all.push_back(0);
  for (const auto &of_node : ends) {
    for (const auto &[other, end] : of_node)
      others.push_back(other), which.push_back(end);
    all.push_back(std::int32_t(others.size()));
  }
  all.insert(all.end(), others.begin(), others.end());
  all.insert(all.end(), which.begin(), which.end());
  return all;
}

} // namespace theta
