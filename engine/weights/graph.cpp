#include "graph.h"
#include "engine/networks/kind.h"
#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <numeric>

namespace theta {

namespace {

// Units along an axis of a tensor: element e is unit e / inner % units.
struct Units {
  std::size_t group, units, inner;
  UnitAxis::Role role;
  std::size_t of(std::size_t element) const { return element / inner % units; }
};

// A tensor as nodes and edges hold it: in a slot of the units that it belongs to, of edges from units to units where it
// belongs to two groups, or of the node of the rest.
struct Part {
  std::size_t tensor, offset, elements;
  std::string slot;          // with its width
  int width;                 // elements of one unit or edge
  std::vector<Units> owners; // of edges: target, source
};

const char *name_of(UnitAxis::Role role) {
  return role == UnitAxis::Role::incoming ? "incoming" : role == UnitAxis::Role::bias ? "bias" : "outgoing";
}

std::vector<Units> owners_of(const TensorPlace &tensor, std::size_t index, const Symmetries &groups) {
  std::vector<Units> all;
  for (std::size_t g = 0; g < groups.size(); ++g)
    for (const UnitAxis &axis : groups[g].axes) {
      if (axis.tensor != index)
        continue;
      std::size_t inner = std::size_t(axis.run);
      for (std::size_t d = std::size_t(axis.axis) + 1; d < tensor.shape.size(); ++d)
        inner *= std::size_t(tensor.shape[d]);
      all.push_back({g, std::size_t(groups[g].units), inner, axis.role});
    }
  if (all.size() > 2)
    throw InputError("graph: '", tensor.name, "' belongs to ", all.size(),
                     " groups of units, expected two at most: a weight leads from one unit to another");
  if (all.size() == 2 && all[0].role != UnitAxis::Role::incoming)
    std::swap(all[0], all[1]);
  if (all.size() == 2 && (all[0].role != UnitAxis::Role::incoming || all[1].role != UnitAxis::Role::outgoing))
    throw InputError("graph: '", tensor.name,
                     "' belongs to two groups of units, expected one that it comes into and one that it leaves");
  return all;
}

std::vector<Part> parts_of(const NetworkShape &shape, const Symmetries &groups) {
  const Layout layout = layout_of(shape);
  std::map<std::pair<std::size_t, UnitAxis::Role>, int> before; // own tensors of a group in a role
  int others = 0;
  std::vector<Part> all;
  for (std::size_t k = 0; k < layout.places().size(); ++k) {
    const TensorPlace &tensor = layout.places()[k];
    Part part{k, tensor.offset, elements_of(tensor), "", 0, owners_of(tensor, k, groups)};
    const std::string slot = part.owners.empty()       ? text("rest.", others++)
                             : part.owners.size() == 2 ? "taps"
                                                       : text(name_of(part.owners[0].role), ".",
                                                              before[{part.owners[0].group, part.owners[0].role}]++);
    std::size_t owned_by = 1;
    for (const Units &of : part.owners)
      owned_by *= of.units;
    part.width = int(part.elements / owned_by), part.slot = text(slot, ".", part.width);
    all.push_back(std::move(part));
  }
  return all;
}

// f(part) for those that nodes hold, group by group, and the rest last.
template <class F> void for_nodes(const std::vector<Part> &parts, std::size_t groups, F f) {
  for (std::size_t g = 0; g <= groups; ++g)
    for (const Part &part : parts)
      if (g == groups ? part.owners.empty() : part.owners.size() == 1 && part.owners[0].group == g)
        f(part);
}

int at_of(const std::vector<GraphSlot> &slots, const Part &part) {
  for (const GraphSlot &slot : slots)
    if (slot.name == part.slot)
      return slot.at;
  std::string known;
  for (const GraphSlot &slot : slots)
    known += (known.empty() ? "" : ", ") + slot.name;
  throw InputError("graph: found networks with ", part.slot, ", expected none but with ", known);
}

// How far along the network a group is: its layers from the inputs over all of them, 1 of the rest.
struct Along {
  int from_inputs = 1, all = 1;
};
Along along(const Symmetries &groups, std::size_t group) {
  return group == groups.size() ? Along{}
                                : Along{groups[group].inputs + 1, groups[group].inputs + groups[group].outputs + 2};
}
// Of an edge, half of the way between its ends.
Along between(const Along &a, const Along &b) {
  return {a.from_inputs * b.all + b.from_inputs * a.all, 2 * a.all * b.all};
}

float size_feature(std::size_t count) { return float(std::log2(double(std::max<std::size_t>(count, 1))) / 8); }

} // namespace

GraphSlots graph_slots(const std::vector<NetworkShape> &shapes) {
  GraphSlots all;
  const auto need = [](std::vector<GraphSlot> &slots, int end, const Part &part) {
    if (std::none_of(slots.begin(), slots.end(), [&](const GraphSlot &slot) { return slot.name == part.slot; }))
      slots.push_back({part.slot, part.width, end});
  };
  for (const NetworkShape &shape : shapes) {
    const Symmetries groups = shape.kind->symmetries(shape);
    const auto parts = parts_of(shape, groups);
    for_nodes(parts, groups.size(), [&](const Part &part) { need(all.node, all.node_width(), part); });
    for (const Part &part : parts)
      if (part.owners.size() == 2)
        need(all.edge, all.edge_width(), part);
  }
  return all;
}

WeightGraph::WeightGraph(const NetworkShape &shape, const GraphSlots &slots)
    : nodes_(1), node_width_(slots.node_width()) {
  const Symmetries symmetries = shape.kind->symmetries(shape);
  const auto parts = parts_of(shape, symmetries);
  const std::size_t groups = symmetries.size(); // hidden layers, of a chain
  std::vector<std::size_t> first, units;        // of each group's nodes, and of the rest's one
  for (const UnitGroup &group : symmetries) {
    first.push_back(std::size_t(nodes_) - 1), units.push_back(std::size_t(group.units));
    nodes_ += group.units;
  }
  first.push_back(std::size_t(nodes_) - 1), units.push_back(1);
  const std::size_t nodes = std::size_t(nodes_), width = std::size_t(node_width_),
                    edge_width = std::size_t(slots.edge_width());
  std::size_t edges = 0;
  for (const Part &part : parts)
    edges += part.owners.size() == 2 ? part.elements / std::size_t(part.width) : 0;
  place_.assign(nodes * width + edges * edge_width, -1);
  elements_.resize(place_.size());
  std::vector<std::int32_t> filled; // of a unit's or an edge's slot
  const auto begin = [&](const Part &part, std::size_t which, const Along &at, std::size_t owners) {
    places_.push_back({text(groups, ".", which, ".", part.slot), part.width, double(at.from_inputs) / at.all});
    filled.assign(owners, 0);
  };
  const auto put = [&](std::size_t at, std::size_t owner, std::size_t element) {
    const std::int32_t number = filled[owner]++;
    place_[at + std::size_t(number)] = std::int32_t(element);
    elements_[at + std::size_t(number)] = {std::int32_t(places_.size()) - 1, number};
  };

  // What nodes hold.
  std::vector<std::size_t> incoming(nodes, 0), outgoing = incoming; // weights
  std::vector<std::array<bool, 2>> holds(groups + 1);               // of those that come in and that go out: any
  for_nodes(parts, groups, [&](const Part &part) {
    const bool rest = part.owners.empty();
    const std::size_t group = rest ? groups : part.owners[0].group, slot = std::size_t(at_of(slots.node, part));
    begin(part, group, along(symmetries, group), units[group]);
    for (std::size_t e = 0; e < part.elements; ++e) {
      const std::size_t unit = rest ? 0 : part.owners[0].of(e);
      put((first[group] + unit) * width + slot, unit, part.offset + e);
    }
    if (rest || part.owners[0].role == UnitAxis::Role::bias)
      return;
    const bool comes = part.owners[0].role == UnitAxis::Role::incoming;
    holds[group][comes ? 0 : 1] = true;
    for (std::size_t u = 0; u < units[group]; ++u)
      (comes ? incoming : outgoing)[first[group] + u] += std::size_t(part.width);
  });

  // Edges, in the order in which a tensor's elements come by.
  struct Kind { // of edges: a tensor's
    std::size_t count, target_group, source_group, taps;
  };
  std::vector<Kind> kinds;
  for (const Part &part : parts) {
    if (part.owners.size() != 2)
      continue;
    const Units &target = part.owners[0], &source = part.owners[1];
    const std::size_t before = target_.size(), slot = nodes * width + std::size_t(at_of(slots.edge, part));
    std::vector<std::int32_t> edge_of(target.units * source.units, -1);
    begin(part, part.tensor, between(along(symmetries, target.group), along(symmetries, source.group)), edge_of.size());
    for (std::size_t e = 0; e < part.elements; ++e) {
      const std::size_t pair = target.of(e) * source.units + source.of(e);
      if (edge_of[pair] < 0) {
        edge_of[pair] = std::int32_t(target_.size());
        target_.push_back(std::int32_t(first[target.group] + target.of(e)));
        source_.push_back(std::int32_t(first[source.group] + source.of(e)));
        incoming[std::size_t(target_.back())] += std::size_t(part.width);
        outgoing[std::size_t(source_.back())] += std::size_t(part.width);
      }
      put(slot + std::size_t(edge_of[pair]) * edge_width, pair, part.offset + e);
    }
    kinds.push_back({target_.size() - before, target.group, source.group, std::size_t(part.width)});
  }

  // Of a group, from the inputs and from the outputs: 1 for the next to them, 1/2 for one further, ...
  const auto from_inputs = [&](std::size_t group) { return 1 / float(1 + symmetries[group].inputs); };
  const auto from_outputs = [&](std::size_t group) { return 1 / float(1 + symmetries[group].outputs); };
  const auto share = [](const Along &at) { return float(at.from_inputs) / float(at.all); };
  for (std::size_t g = 0, n = 0; g <= groups; ++g)
    for (std::size_t u = 0; u < units[g]; ++u, ++n) {
      const bool rest = g == groups;
      const float all[node_features] = {float(!rest),
                                        float(rest),
                                        float(holds[g][0]),
                                        float(holds[g][1]),
                                        rest ? 0 : from_inputs(g),
                                        rest ? 0 : from_outputs(g),
                                        rest ? 0 : share(along(symmetries, g)),
                                        size_feature(units[g]),
                                        size_feature(incoming[n]),
                                        size_feature(outgoing[n])};
      node_feature_.insert(node_feature_.end(), all, all + node_features);
    }
  for (const Kind &kind : kinds) {
    const float all[edge_features] = {
        1,
        float(kind.target_group == kind.source_group),
        from_inputs(kind.source_group),
        from_outputs(kind.target_group),
        share(between(along(symmetries, kind.target_group), along(symmetries, kind.source_group))),
        size_feature(units[kind.source_group]),
        size_feature(units[kind.target_group]),
        size_feature(kind.taps)};
    for (std::size_t e = 0; e < kind.count; ++e)
      edge_feature_.insert(edge_feature_.end(), all, all + edge_features);
  }
}

std::vector<std::int32_t> WeightGraph::index() const {
  const std::size_t nodes = std::size_t(nodes_), edges = target_.size();
  std::vector<std::int32_t> all = target_;
  all.insert(all.end(), source_.begin(), source_.end());
  std::vector<std::int32_t> next(nodes + 1, 0); // first, then where a node's next end goes
  for (const auto *ends : {&target_, &source_})
    for (const std::int32_t node : *ends)
      ++next[std::size_t(node) + 1];
  std::partial_sum(next.begin(), next.end(), next.begin());
  all.insert(all.end(), next.begin(), next.end());
  const std::size_t others = all.size(), which = others + 2 * edges;
  all.resize(which + 2 * edges);
  for (std::size_t e = 0; e < edges; ++e)
    for (std::size_t side = 0; side < 2; ++side) {
      const std::int32_t node = side ? source_[e] : target_[e], other = side ? target_[e] : source_[e];
      const auto at = std::size_t(next[std::size_t(node)]++);
      all[others + at] = other, all[which + at] = std::int32_t(2 * e + side);
    }
  return all;
}

} // namespace theta
