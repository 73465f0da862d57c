#include "graph_transformer.h"
#include "kernels/operations/add.h"
#include "kernels/operations/diffusion.h"
#include "kernels/operations/gather.h"
#include <numeric>

namespace theta {

template <class T>
auto GraphTransformer<T>::ends(const std::string &name, int elements, int features, int width) -> Ends {
  Ends e{Linear(parameters_, name + ".encode", elements, width, shape_.arithmetic),
         Linear(parameters_, name + ".told", features, width, shape_.arithmetic),
         Linear(parameters_, name + ".decode", width, elements, shape_.arithmetic, Linear::Begin::zero),
         {}};
  if (shape_.start)
    e.start.emplace(parameters_, name + ".start", elements, width, shape_.arithmetic);
  return e;
}

// Networks without weights between units have no edges to read; a generator of such alone has edges of one element.
template <class T>
GraphTransformer<T>::GraphTransformer(const GraphTransformerShape &shape, std::vector<WeightGraph> graphs)
    : shape_(shape), nodes_(ends("nodes", shape.slots.node_width(), WeightGraph::node_features, shape.width)),
      edges_(ends("edges", std::max(1, shape.slots.edge_width()), WeightGraph::edge_features, shape.edge_width)),
      tellers_(parameters_, shape.width, shape.features, shape.conditions, ConditionWay::modulation, shape.arithmetic),
      blocks_([&]() -> Blocks {
        const auto make = [&](auto blocks) {
          for (int i = 0; i < shape.layers; ++i)
            blocks.emplace_back(parameters_, text("blocks.", i, "."),
                                GraphBlockShape{shape.width, shape.heads, shape.edge_width, 4, shape.arithmetic});
          return Blocks(std::move(blocks));
        };
        if constexpr (std::is_same_v<T, float>)
          if (shape.arithmetic == Arithmetic::bf16)
            return make(std::vector<GraphBlock<bf16>>{});
        return make(std::vector<GraphBlock<T>>{});
      }()),
      final_(parameters_, "final", shape.width, 2 * shape.width, shape.arithmetic, Linear::Begin::zero),
      edge_final_(parameters_, "edge_final", shape.width, 2 * shape.edge_width, shape.arithmetic, Linear::Begin::zero),
      final_ends_(parameters_, "final_ends", shape.width, 2 * shape.edge_width, shape.arithmetic, Linear::Begin::zero) {
  if (graphs.empty() || shape.features < 4 || shape.features % 2 != 0)
    throw InputError("graph: found ", graphs.size(), " architectures and ", shape.features,
                     " features of time, expected an architecture and an even number of features from 4 on");
  for (auto &graph : graphs)
    kinds_.push_back({std::move(graph)});
  if (shape.fused)
    for (const TensorPlace &place : parameters_.places())
      if (place.name.ends_with(".weight"))
        early_.push_back({place.offset, elements_of(place)});
}

template <class T>
auto GraphTransformer<T>::reserve(MemoryPlan &plan, const std::string &what, std::int64_t rows,
                                  std::int64_t width) const -> Tensor<T> {
  return plan.reserve<T>("graph." + what, MemoryClass::activations, {std::max<std::int64_t>(rows, 1), width}, "batch");
}

template <class T> void GraphTransformer<T>::plan_for(MemoryPlan &plan, const std::vector<int> &networks, Mode mode) {
  check_unplanned("graph", graphs_);
  if (networks.size() != kinds_.size())
    throw Error("graph: found networks of ", networks.size(), " architectures, expected ", kinds_.size());
  networks_ = networks, graphs_ = std::accumulate(networks.begin(), networks.end(), 0);
  const bool trains = mode == Mode::train;
  const std::int64_t d = shape_.width, w = shape_.edge_width;
  for (std::size_t k = 0; k < kinds_.size(); ++k) {
    Kind &kind = kinds_[k];
    const auto whole = [&](const char *what, std::size_t size) {
      return plan.reserve<std::int32_t>(text("graph.", k, '.', what), MemoryClass::data, {std::int64_t(size)});
    };
    kind.index = whole("index", kind.graph.index().size()), kind.place = whole("place", kind.graph.size());
    kind.first_element = elements_;
    for (const auto &[e, count] : {std::pair{&nodes_, kind.graph.nodes()}, {&edges_, kind.graph.edges()}})
      e->rows += std::int64_t(networks[k]) * count, e->told_rows += count;
    elements_ += std::size_t(networks[k]) * kind.graph.size();
  }
  tellers_.plan_forward(plan, graphs_);
  for (Ends *of : {&nodes_, &edges_}) {
    Ends &e = *of;
    const std::string name = is_edges(e) ? "edges." : "nodes.";
    const std::int64_t rows = e.rows, width = e.encode.out(), each = e.encode.in();
    e.features = reserve(plan, name + "features", e.told_rows, e.told.in());
    e.of_features = reserve(plan, name + "of_features", e.told_rows, width);
    if (trains)
      e.d_of_features = reserve(plan, name + "d_of_features", e.told_rows, width);
    e.x = reserve(plan, name + "x", rows, each), e.h = reserve(plan, name + "h", rows, width);
    if (e.start)
      e.start_x = reserve(plan, name + "start_x", rows, each), e.start_h = reserve(plan, name + "start_h", rows, width);
    e.y = reserve(plan, name + "y", rows, each);
    if (trains)
      e.d_y = reserve(plan, name + "d_y", rows, each), e.d_h = reserve(plan, name + "d_h", rows, width);
  }
  conditions_ = reserve(plan, "conditions", graphs_, 2 * d);
  edge_conditions_ = reserve(plan, "edge_conditions", graphs_, 2 * w);
  mean_ = reserve(plan, "mean", nodes_.rows, 1), rstd_ = reserve(plan, "rstd", nodes_.rows, 1);
  edge_mean_ = reserve(plan, "edge_mean", edges_.rows, 1), edge_rstd_ = reserve(plan, "edge_rstd", edges_.rows, 1);
  normal_ = reserve(plan, "normal", nodes_.rows, d), edge_normal_ = reserve(plan, "edge_normal", edges_.rows, w);
  of_ends_ = reserve(plan, "ends", nodes_.rows, 2 * w), heard_ = reserve(plan, "heard", edges_.rows, w);
  out_ = reserve(plan, "out", 1, std::int64_t(elements_));
  const auto sizes = sizes_of(batch());
  std::visit(
      [&](auto &blocks) {
        for (std::size_t i = 0; i < blocks.size(); ++i)
          blocks[i].plan_forward(plan, text("blocks.", i, "."), sizes, shape_.recompute ? Mode::infer : mode);
      },
      blocks_);
  if (!trains)
    return;
  if (shape_.recompute)
    again_ = blocks_;
  d_out_ = reserve(plan, "d_out", 1, std::int64_t(elements_)), d_normal_ = reserve(plan, "d_normal", nodes_.rows, d);
  d_heard_ = reserve(plan, "d_heard", edges_.rows, w), d_of_ends_ = reserve(plan, "d_ends", nodes_.rows, 2 * w);
  d_nodes_ = reserve(plan, "d_nodes", nodes_.rows, d), d_edges_ = reserve(plan, "d_edges", edges_.rows, w);
  d_conditions_ = reserve(plan, "d_conditions", graphs_, 2 * d);
  d_edge_conditions_ = reserve(plan, "d_edge_conditions", graphs_, 2 * w);
  d_silu_ = reserve(plan, "d_silu", graphs_, d);
  if (const auto largest = std::int64_t(largest_of(early_)); largest > 0)
    early_gradient_ = plan.reserve<T>("graph.early_gradient", MemoryClass::workspace, {largest});
  tellers_.plan_backward(plan);
  std::visit(
      [&](auto &blocks) {
        for (std::size_t i = blocks.size(); i-- > 0;) {
          if (shape_.recompute)
            blocks[i].plan_forward(plan, text("blocks.", i, ".again."), sizes, mode);
          blocks[i].plan_backward(plan);
        }
      },
      backward_blocks());
}

template <class T> void GraphTransformer<T>::upload(Stream &s) const {
  const auto give = [&](auto *to, const auto &values) {
    copy(s, to, values.data(), values.size() * sizeof(values[0]));
    s.synchronize();
  };
  std::vector<T> of_nodes, of_edges;
  for (const Kind &kind : kinds_) {
    give(kind.index.get(), kind.graph.index()), give(kind.place.get(), kind.graph.place());
    const auto &node = kind.graph.features_of_nodes(), &edge = kind.graph.features_of_edges();
    of_nodes.insert(of_nodes.end(), node.begin(), node.end());
    of_edges.insert(of_edges.end(), edge.begin(), edge.end());
  }
  give(nodes_.features.get(), of_nodes), give(edges_.features.get(), of_edges);
}

template <class T> const GraphBatch &GraphTransformer<T>::batch() {
  batch_.clear();
  std::size_t first = 0, node = 0, edge = 0;
  for (std::size_t k = 0; k < kinds_.size(); ++k) {
    const int n = kinds_[k].graph.nodes(), m = kinds_[k].graph.edges();
    const std::int32_t *at = kinds_[k].index;
    GraphEdges index{n, m, nullptr, nullptr, nullptr, nullptr, nullptr};
    if (at)
      index = {n, m, at, at + m, at + 2 * m, at + 2 * m + n + 1, at + 4 * m + n + 1};
    batch_.push_back({networks_[k], index, first, node, edge});
    first += std::size_t(networks_[k]), node += std::size_t(networks_[k]) * std::size_t(n);
    edge += std::size_t(networks_[k]) * std::size_t(m);
  }
  return batch_;
}

template <class T> template <class F> void GraphTransformer<T>::for_places(bool of_edges, F f) const {
  std::size_t row = 0, told_row = 0;
  for (std::size_t k = 0; k < kinds_.size(); ++k) {
    const WeightGraph &graph = kinds_[k].graph;
    const std::size_t before = of_edges ? graph.node_elements() : 0;
    const int rows = of_edges ? graph.edges() : graph.nodes();
    if (rows > 0)
      f(Place{kinds_[k], networks_[k], rows, kinds_[k].first_element + before,
              of_edges ? graph.size() - before : graph.node_elements(), row, told_row});
    row += std::size_t(networks_[k]) * std::size_t(rows), told_row += std::size_t(rows);
  }
}

// Into e.h.
template <class T>
void GraphTransformer<T>::encode(Stream &s, const Parameters<T> &p, const Ends &e, const T *x, const T *start) {
  if (e.rows == 0)
    return;
  const std::size_t each = std::size_t(e.encode.in()), width = std::size_t(e.encode.out());
  const auto gather = [&](T *to, const T *from) {
    for_places(is_edges(e), [&](const Place &at) {
      copy_rows<T>(s, to + at.row * each, at.size, from + at.first, at.kind.graph.size(), at.networks, at.size);
    });
  };
  gather(e.x, x);
  e.encode.forward(s, p, e.h.get(), e.x, int(e.rows));
  if (e.start) {
    gather(e.start_x, start);
    e.start->forward(s, p, e.start_h.get(), e.start_x, int(e.rows));
    add_scaled<T>(s, e.h, e.h, e.start_h, 1, std::size_t(e.rows) * width);
  }
  e.told.forward(s, p, e.of_features.get(), e.features, int(e.told_rows));
  for_places(is_edges(e), [&](const Place &at) {
    T *h = e.h + at.row * width;
    add_over_channels<T>(s, h, h, e.of_features + at.told_row * width, 1, at.networks, at.rows * int(width));
  });
}

// d, the gradient of e.h, to the encoders' parameters.
template <class T>
void GraphTransformer<T>::encode_backward(Stream &s, const Parameters<T> &p, const Ends &e, const T *d) {
  if (e.rows == 0) {
    for (const Linear *of : {&e.told, &e.encode, e.start ? &*e.start : nullptr})
      if (of)
        of->backward_of_nothing(s, p);
    return;
  }
  const std::size_t width = std::size_t(e.encode.out());
  fill_zero(s, e.d_of_features, std::size_t(e.told_rows) * width * sizeof(T));
  for_places(is_edges(e), [&](const Place &at) {
    sum_over_channels_accumulate<T>(s, e.d_of_features + at.told_row * width, d + at.row * width, 1, at.networks,
                                    at.rows * int(width));
  });
  e.told.backward(s, p, nullptr, e.d_of_features.get(), e.features, int(e.told_rows));
  e.encode.backward(s, p, nullptr, d, e.x, int(e.rows));
  if (e.start)
    e.start->backward(s, p, nullptr, d, e.start_x, int(e.rows));
}

template <class T> void GraphTransformer<T>::decode(Stream &s, const Parameters<T> &p, const Ends &e, const T *normal) {
  if (e.rows == 0)
    return;
  e.decode.forward(s, p, e.y.get(), normal, int(e.rows));
  for_places(is_edges(e), [&](const Place &at) {
    copy_rows<T>(s, out_ + at.first, at.kind.graph.size(), e.y + at.row * std::size_t(e.encode.in()), at.size,
                 at.networks, at.size);
  });
}

template <class T>
void GraphTransformer<T>::decode_backward(Stream &s, const Parameters<T> &p, const Ends &e, T *d_normal,
                                          const T *normal) {
  if (e.rows == 0)
    return;
  for_places(is_edges(e), [&](const Place &at) {
    copy_rows<T>(s, e.d_y + at.row * std::size_t(e.encode.in()), at.size, d_out_ + at.first, at.kind.graph.size(),
                 at.networks, at.size);
  });
  e.decode.backward(s, p, d_normal, e.d_y.get(), normal, int(e.rows));
}

template <class T>
const T *GraphTransformer<T>::forward(Stream &s, const Parameters<T> &p, const T *x, const Told &told) {
  const std::size_t d = std::size_t(shape_.width), w = std::size_t(shape_.edge_width);
  tellers_.forward(s, p, told.time, told.conditions, nullptr, nullptr, 0);
  encode(s, p, nodes_, x, told.start), encode(s, p, edges_, x, told.start);
  const T *silu = tellers_.silu();
  const GraphBatch &all = batch();
  inputs_ = {{nodes_.h, edges_.h}};
  std::visit(
      [&](auto &blocks) {
        for (auto &block : blocks) {
          const auto out = block.forward(s, p, inputs_.back(), silu, all);
          inputs_.push_back({out.nodes, out.edges});
        }
      },
      blocks_);
  final_.forward(s, p, conditions_.get(), silu, graphs_);
  edge_final_.forward(s, p, edge_conditions_.get(), silu, graphs_);
  for_alike(all, false, shape_.width, 2, [&](const Modulation &m, std::size_t row, std::size_t at) {
    modulate_forward<T>(s, normal_ + row * d, mean_ + row, rstd_ + row, inputs_.back().nodes + row * d,
                        conditions_ + at, conditions_ + at + d, m);
  });
  for_alike(all, true, shape_.edge_width, 2, [&](const Modulation &m, std::size_t row, std::size_t at) {
    modulate_forward<T>(s, edge_normal_ + row * w, edge_mean_ + row, edge_rstd_ + row, inputs_.back().edges + row * w,
                        edge_conditions_ + at, edge_conditions_ + at + w, m);
  });
  decode(s, p, nodes_, normal_);
  if (edges_.rows > 0) {
    final_ends_.forward(s, p, of_ends_.get(), normal_, int(nodes_.rows));
    for (const AlikeGraphs &kind : all)
      add_ends<T>(s, heard_ + kind.first_edge * w, edge_normal_ + kind.first_edge * w,
                  of_ends_ + kind.first_node * 2 * w, kind.graphs, shape_.edge_width, kind.index);
    decode(s, p, edges_, heard_);
  }
  for (std::size_t k = 0; k < kinds_.size(); ++k)
    clear_padding<T>(s, out_ + kinds_[k].first_element, kinds_[k].place, networks_[k], kinds_[k].graph.size());
  return out_;
}

// Where there is padding, the output is 0, and d_out must be: decoders learn nothing of it.
template <class T> void GraphTransformer<T>::backward(Stream &s, const Parameters<T> &of) {
  Parameters<T> p = of;
  p.early_gradient = early_gradient_;
  const std::size_t d = std::size_t(shape_.width), w = std::size_t(shape_.edge_width);
  const T *silu = tellers_.silu();
  T *d_silu = tellers_.d_silu();
  const GraphBatch &all = batch();
  decode_backward(s, p, nodes_, d_normal_, normal_);
  fill_zero(s, d_nodes_, std::size_t(nodes_.rows) * d * sizeof(T));
  fill_zero(s, d_edges_, std::size_t(edges_.rows) * w * sizeof(T));
  fill_zero(s, d_edge_conditions_, std::size_t(graphs_) * 2 * w * sizeof(T)); // of graphs without edges
  if (edges_.rows > 0) {
    decode_backward(s, p, edges_, d_heard_, heard_);
    for (const AlikeGraphs &kind : all)
      add_ends_backward<T>(s, d_of_ends_ + kind.first_node * 2 * w, d_heard_ + kind.first_edge * w, kind.graphs,
                           shape_.edge_width, kind.index);
    final_ends_.backward_accumulate(s, p, d_normal_, d_of_ends_.get(), normal_, int(nodes_.rows));
    for_alike(all, true, shape_.edge_width, 2, [&](const Modulation &m, std::size_t row, std::size_t at) {
      modulate_backward_accumulate<T>(s, d_edges_ + row * w, d_edge_conditions_ + at, d_edge_conditions_ + at + w,
                                      d_heard_ + row * w, inputs_.back().edges + row * w, edge_mean_ + row,
                                      edge_rstd_ + row, edge_conditions_ + at + w, m);
    });
  } else {
    edges_.decode.backward_of_nothing(s, p), final_ends_.backward_of_nothing(s, p);
  }
  for_alike(all, false, shape_.width, 2, [&](const Modulation &m, std::size_t row, std::size_t at) {
    modulate_backward_accumulate<T>(s, d_nodes_ + row * d, d_conditions_ + at, d_conditions_ + at + d,
                                    d_normal_ + row * d, inputs_.back().nodes + row * d, mean_ + row, rstd_ + row,
                                    conditions_ + at + d, m);
  });
  fill_zero(s, d_silu, std::size_t(graphs_) * d * sizeof(T));
  for (const auto &[linear, d_of] : {std::pair{&final_, &d_conditions_}, {&edge_final_, &d_edge_conditions_}}) {
    linear->backward(s, p, d_silu_, d_of->get(), silu, graphs_);
    add_scaled<T>(s, d_silu, d_silu, d_silu_, 1, std::size_t(graphs_) * d);
  }
  const GraphStates<T> dx{d_nodes_, d_edges_};
  std::visit(
      [&](auto &blocks) {
        for (std::size_t i = blocks.size(); i-- > 0;) {
          if (shape_.recompute)
            blocks[i].forward(s, p, inputs_[i], silu, all);
          blocks[i].backward_accumulate(s, p, dx, d_silu, inputs_[i], silu, all);
        }
      },
      backward_blocks());
  tellers_.backward(s, p, nullptr, nullptr, 0);
  encode_backward(s, p, nodes_, d_nodes_), encode_backward(s, p, edges_, d_edges_);
}

template class GraphTransformer<float>;
template class GraphTransformer<double>;

} // namespace theta
