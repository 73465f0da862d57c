#include "graph_block.h"
#include "kernels/operations/add.h"

namespace theta {

template <class T>
GraphBlock<T>::GraphBlock(Layout &layout, const std::string &name, const GraphBlockShape &s)
    : shape_(s), qkv_(layout, name + "qkv", s.width, 3 * s.width, s.arithmetic),
      edge_bias_(layout, name + "edge_bias", s.edge_width, 2 * s.heads, s.arithmetic),
      edge_values_(layout.add(name + "edge_values.weight", {s.heads, s.width / std::max(s.heads, 1), 2 * s.edge_width},
                              default_start(2 * s.edge_width))),
      proj_(layout, name + "proj", s.width, s.width, s.arithmetic),
      fc1_(layout, name + "fc1", s.width, s.expansion * s.width, s.arithmetic),
      fc2_(layout, name + "fc2", s.expansion * s.width, s.width, s.arithmetic),
      ends_(layout, name + "ends", s.width, 2 * s.edge_width, s.arithmetic),
      edge_fc1_(layout, name + "edge_fc1", s.edge_width, 2 * s.edge_width, s.arithmetic),
      edge_fc2_(layout, name + "edge_fc2", 2 * s.edge_width, s.edge_width, s.arithmetic),
      ada_(layout, name + "ada", s.width, node_parts * s.width, s.arithmetic, Linear::Begin::zero),
      edge_ada_(layout, name + "edge_ada", s.width, edge_parts * s.edge_width, s.arithmetic, Linear::Begin::zero) {
  if (s.heads < 1 || s.width % s.heads != 0)
    throw InputError("graph: heads: found ", s.heads, ", expected a divisor of its width, ", s.width);
}

GraphSizes sizes_of(const GraphBatch &batch) {
  GraphSizes all;
  for (const AlikeGraphs &kind : batch) {
    all.graphs += kind.graphs, all.nodes += std::int64_t(kind.graphs) * kind.index.nodes;
    all.edges += std::int64_t(kind.graphs) * kind.index.edges;
    const EdgeAttention one{.batch = kind.graphs, .heads = 1, .head = 1, .width = 1, .graph = kind.index};
    all.pairs += std::int64_t(one.weights());
    all.by_turns += one.at_once() ? 0 : std::int64_t(kind.graphs) * kind.index.nodes;
  }
  return all;
}

template <class T>
template <class E>
void GraphBlock<T>::reserve(MemoryPlan &plan, Tensor<E> &t, const char *what, std::int64_t width,
                            std::int64_t rows) const {
  t = plan.reserve<E>(name_ + what, MemoryClass::activations, {rows, width}, "batch");
}

template <class T>
void GraphBlock<T>::plan_forward(MemoryPlan &plan, const std::string &name, const GraphSizes &sizes, Mode mode) {
  name_ = name, sizes_ = sizes;
  const std::int64_t d = shape_.width, e = shape_.edge_width, h = shape_.heads, hidden = d * shape_.expansion;
  const std::int64_t graphs = sizes.graphs, n = sizes.nodes, m = std::max<std::int64_t>(sizes.edges, 1),
                     pairs = sizes.pairs;
  reserve(plan, conditions_, "conditions", node_parts * d, graphs);
  reserve(plan, edge_conditions_, "edge_conditions", edge_parts * e, graphs);
  reserve(plan, edge_mean_, "edge_mean", 1, m), reserve(plan, edge_rstd_, "edge_rstd", 1, m);
  reserve(plan, edge_normal_, "edge_normal", e, m), reserve(plan, bias_, "edge_bias", 2 * h, m);
  reserve(plan, mean1_, "mean1", 1, n), reserve(plan, rstd1_, "rstd1", 1, n);
  reserve(plan, normal1_, "normal1", d, n), reserve(plan, qkv_out_, "qkv", 3 * d, n);
  reserve(plan, weight_, "weight", h, pairs), reserve(plan, attended_, "attended", d, n);
  reserve(plan, gathered_, "gathered", h * 2 * e, n), reserve(plan, branch1_, "branch1", d, n);
  reserve(plan, middle_, "middle", d, n), reserve(plan, mean2_, "mean2", 1, n), reserve(plan, rstd2_, "rstd2", 1, n);
  reserve(plan, normal2_, "normal2", d, n), reserve(plan, hidden_, "hidden", hidden, n);
  reserve(plan, active_, "active", hidden, n), reserve(plan, branch2_, "branch2", d, n);
  reserve(plan, out_, "out", d, n), reserve(plan, mean3_, "mean3", 1, n), reserve(plan, rstd3_, "rstd3", 1, n);
  reserve(plan, normal3_, "normal3", d, n), reserve(plan, of_ends_, "ends", 2 * e, n);
  reserve(plan, heard_, "heard", e, m), reserve(plan, edge_hidden_, "edge_hidden", 2 * e, m);
  reserve(plan, edge_active_, "edge_active", 2 * e, m), reserve(plan, edge_branch_, "edge_branch", e, m);
  reserve(plan, edge_out_, "edge_out", e, m);
  if (mode == Mode::infer)
    plan.release(conditions_, edge_conditions_, edge_mean_, edge_rstd_, edge_normal_, bias_, mean1_, rstd1_, normal1_,
                 qkv_out_, weight_, attended_, gathered_, branch1_, middle_, mean2_, rstd2_, normal2_, hidden_, active_,
                 branch2_, mean3_, rstd3_, normal3_, of_ends_, heard_, edge_hidden_, edge_active_, edge_branch_);
}

template <class T> void GraphBlock<T>::plan_backward(MemoryPlan &plan) {
  const std::int64_t d = shape_.width, e = shape_.edge_width, h = shape_.heads, hidden = d * shape_.expansion;
  const std::int64_t graphs = sizes_.graphs, n = sizes_.nodes, m = std::max<std::int64_t>(sizes_.edges, 1),
                     pairs = sizes_.pairs;
  reserve(plan, d_conditions_, "d_conditions", node_parts * d, graphs);
  reserve(plan, d_edge_conditions_, "d_edge_conditions", edge_parts * e, graphs);
  reserve(plan, d_edge_branch_, "d_edge_branch", e, m), reserve(plan, d_edge_hidden_, "d_edge_hidden", 2 * e, m);
  reserve(plan, d_edge_normal_, "d_edge_normal", e, m), reserve(plan, d_of_ends_, "d_ends", 2 * e, n);
  reserve(plan, d_normal_, "d_normal", d, n);
  plan.release(edge_out_, edge_branch_, edge_active_, edge_hidden_, heard_, of_ends_, normal3_, mean3_, rstd3_,
               d_edge_branch_, d_edge_hidden_, d_of_ends_);
  reserve(plan, d_branch_, "d_branch", d, n), reserve(plan, d_hidden_, "d_hidden", hidden, n);
  plan.release(out_, branch2_, active_, hidden_, normal2_, d_hidden_);
  reserve(plan, d_attended_, "d_attended", d, n), reserve(plan, d_gathered_, "d_gathered", h * 2 * e, n);
  reserve(plan, d_qkv_, "d_qkv", 3 * d, n), reserve(plan, d_bias_, "d_bias", 2 * h, m);
  reserve(plan, slope_, "slope", h, pairs), reserve(plan, d_silu_, "d_silu", d, graphs);
  if (sizes_.by_turns > 0)
    reserve(plan, keys_, "keys", 2 * d, sizes_.by_turns);
  plan.release(middle_, mean2_, rstd2_, branch1_, gathered_, attended_, weight_, qkv_out_, normal1_, mean1_, rstd1_,
               bias_, edge_normal_, edge_mean_, edge_rstd_, edge_conditions_, conditions_, d_conditions_,
               d_edge_conditions_, d_edge_normal_, d_normal_, d_branch_, d_attended_, d_gathered_, d_qkv_, d_bias_,
               slope_, keys_, d_silu_);
}

template <class T> EdgeAttention GraphBlock<T>::attention(const AlikeGraphs &kind) const {
  return {kind.graphs, shape_.heads, shape_.width / shape_.heads, shape_.edge_width, kind.index};
}

// attended [nodes, heads, head] += gathered [nodes, heads, 2·edge_width]·values [heads, head, 2·edge_width]ᵀ.
template <class T> Gemm GraphBlock<T>::values_product() const {
  const int head = shape_.width / shape_.heads, sums = 2 * shape_.edge_width;
  return {.m = nodes(),
          .n = head,
          .k = sums,
          .transpose_b = true,
          .accumulate = true,
          .lda = shape_.heads * sums,
          .ldb = sums,
          .ldc = shape_.width,
          .batch = shape_.heads,
          .stride_a = std::size_t(sums),
          .stride_b = std::size_t(head) * std::size_t(sums),
          .stride_c = std::size_t(head),
          .arithmetic = shape_.arithmetic};
}

template <class T>
GraphStates<Wide<T>> GraphBlock<T>::forward(Stream &s, const Parameters<W> &p, const GraphStates<const W> &x,
                                            const W *silu_c, const GraphBatch &batch) {
  const std::size_t d = std::size_t(shape_.width), e = std::size_t(shape_.edge_width);
  const auto of_nodes = [&](auto f) { for_alike(batch, false, shape_.width, node_parts, f); };
  const auto of_edges = [&](auto f) { for_alike(batch, true, shape_.edge_width, edge_parts, f); };
  const auto normalise = [&](T *normal, W *mean, W *rstd, const W *from, int first_part) {
    of_nodes([&](const Modulation &m, std::size_t row, std::size_t at) {
      modulate_forward<T>(s, normal + row * d, mean + row, rstd + row, from + row * d,
                          part(conditions_, first_part) + at, part(conditions_, first_part + 1) + at, m);
    });
  };
  const auto gate = [&](W *out, const W *from, const T *branch, int of) {
    of_nodes([&](const Modulation &m, std::size_t row, std::size_t at) {
      gate_forward<T>(s, out + row * d, from + row * d, branch + row * d, part(conditions_, of) + at, m);
    });
  };
  ada_.template forward<W>(s, p, conditions_.get(), silu_c, int(sizes_.graphs));
  edge_ada_.template forward<W>(s, p, edge_conditions_.get(), silu_c, int(sizes_.graphs));
  of_edges([&](const Modulation &m, std::size_t row, std::size_t at) {
    modulate_forward<T>(s, edge_normal_ + row * e, edge_mean_ + row, edge_rstd_ + row, x.edges + row * e,
                        edge_part(edge_conditions_, 0) + at, edge_part(edge_conditions_, 1) + at, m);
  });
  normalise(normal1_, mean1_, rstd1_, x.nodes, 0);
  qkv_.template forward<T>(s, p, qkv_out_.get(), normal1_, nodes());
  if (edges() > 0)
    edge_bias_.template forward<T>(s, p, bias_.get(), edge_normal_, edges());
  std::size_t pairs = 0;
  for (const AlikeGraphs &kind : batch) {
    const EdgeAttention a = attention(kind);
    const std::size_t n = kind.first_node, m = kind.first_edge, h = std::size_t(shape_.heads);
    edge_attention_forward<T>(s, attended_ + n * d, gathered_ + n * h * 2 * e, weight_ + pairs, qkv_out_ + n * 3 * d,
                              bias_ + m * 2 * h, edge_normal_ + m * e, a);
    pairs += a.weights();
  }
  const T *values = p.template value_as<T>() + edge_values_;
  gemm<T>(s, attended_.get(), gathered_.get(), values, values_product());
  proj_.template forward<T>(s, p, branch1_.get(), attended_, nodes());
  gate(middle_, x.nodes, branch1_, 2);
  normalise(normal2_, mean2_, rstd2_, middle_, 3);
  fc1_.template gelu_forward<T>(s, p, active_, hidden_, normal2_, nodes());
  fc2_.template forward<T>(s, p, branch2_.get(), active_, nodes());
  gate(out_, middle_, branch2_, 5);
  if (edges() == 0)
    return {out_, edge_out_};
  normalise(normal3_, mean3_, rstd3_, out_, 6);
  ends_.template forward<T>(s, p, of_ends_.get(), normal3_, nodes());
  for (const AlikeGraphs &kind : batch)
    add_ends<T>(s, heard_ + kind.first_edge * e, edge_normal_ + kind.first_edge * e, of_ends_ + kind.first_node * 2 * e,
                kind.graphs, shape_.edge_width, kind.index);
  edge_fc1_.template gelu_forward<T>(s, p, edge_active_, edge_hidden_, heard_, edges());
  edge_fc2_.template forward<T>(s, p, edge_branch_.get(), edge_active_, edges());
  of_edges([&](const Modulation &m, std::size_t row, std::size_t at) {
    gate_forward<T>(s, edge_out_ + row * e, x.edges + row * e, edge_branch_ + row * e,
                    edge_part(edge_conditions_, 2) + at, m);
  });
  return {out_, edge_out_};
}

template <class T>
void GraphBlock<T>::backward_accumulate(Stream &s, const Parameters<W> &p, const GraphStates<W> &dx, W *d_silu_c,
                                        const GraphStates<const W> &x, const W *silu_c, const GraphBatch &batch) {
  const std::size_t d = std::size_t(shape_.width), e = std::size_t(shape_.edge_width);
  const auto of_nodes = [&](auto f) { for_alike(batch, false, shape_.width, node_parts, f); };
  const auto of_edges = [&](auto f) { for_alike(batch, true, shape_.edge_width, edge_parts, f); };
  const auto normalise = [&](const W *mean, const W *rstd, const W *from, int first_part) {
    of_nodes([&](const Modulation &m, std::size_t row, std::size_t at) {
      modulate_backward_accumulate<T>(s, dx.nodes + row * d, part(d_conditions_, first_part) + at,
                                      part(d_conditions_, first_part + 1) + at, d_normal_ + row * d, from + row * d,
                                      mean + row, rstd + row, part(conditions_, first_part + 1) + at, m);
    });
  };
  const auto gate = [&](const T *branch, int of) {
    of_nodes([&](const Modulation &m, std::size_t row, std::size_t at) {
      gate_backward<T>(s, d_branch_ + row * d, part(d_conditions_, of) + at, dx.nodes + row * d, branch + row * d,
                       part(conditions_, of) + at, m);
    });
  };
  if (edges() > 0) {
    of_edges([&](const Modulation &m, std::size_t row, std::size_t at) {
      gate_backward<T>(s, d_edge_branch_ + row * e, edge_part(d_edge_conditions_, 2) + at, dx.edges + row * e,
                       edge_branch_ + row * e, edge_part(edge_conditions_, 2) + at, m);
    });
    edge_fc1_.template gelu_backward_from<T>(s, p, edge_fc2_, d_edge_hidden_, d_edge_branch_, edge_active_,
                                             edge_hidden_, edges());
    edge_fc1_.template product_backward<T>(s, p, d_edge_normal_, d_edge_hidden_, heard_, edges());
    for (const AlikeGraphs &kind : batch)
      add_ends_backward<T>(s, d_of_ends_ + kind.first_node * 2 * e, d_edge_normal_ + kind.first_edge * e, kind.graphs,
                           shape_.edge_width, kind.index);
    ends_.template backward<T>(s, p, d_normal_, d_of_ends_.get(), normal3_, nodes());
    normalise(mean3_, rstd3_, out_, 6);
  } else { // nothing writes what conditions the third normalisation, and edges
    fill_zero(s, d_conditions_, std::size_t(sizes_.graphs) * node_parts * d * sizeof(W));
    for (const Linear *of : {&ends_, &edge_fc1_, &edge_fc2_, &edge_bias_})
      of->backward_of_nothing(s, p);
  }
  gate(branch2_, 5);
  fc1_.template gelu_backward_from<T>(s, p, fc2_, d_hidden_, d_branch_, active_, hidden_, nodes());
  fc1_.template product_backward<T>(s, p, d_normal_, d_hidden_, normal2_, nodes());
  normalise(mean2_, rstd2_, middle_, 3);
  gate(branch1_, 2);
  proj_.template backward<T>(s, p, d_attended_, d_branch_.get(), attended_, nodes());
  const T *values = p.template value_as<T>() + edge_values_;
  const int head = shape_.width / shape_.heads, sums = 2 * shape_.edge_width;
  gemm<T>(s, d_gathered_.get(), d_attended_.get(), values,
          {.m = nodes(),
           .n = sums,
           .k = head,
           .lda = shape_.width,
           .ldb = sums,
           .ldc = shape_.heads * sums,
           .batch = shape_.heads,
           .stride_a = std::size_t(head),
           .stride_b = std::size_t(head) * std::size_t(sums),
           .stride_c = std::size_t(sums),
           .arithmetic = shape_.arithmetic});
  const TensorRange of_values{edge_values_, std::size_t(shape_.width) * std::size_t(sums)};
  gemm<T, W>(s, p.begin_gradient(s, of_values), d_attended_.get(), gathered_.get(),
             {.m = head,
              .n = sums,
              .k = nodes(),
              .transpose_a = true,
              .accumulate = true,
              .lda = shape_.width,
              .ldb = shape_.heads * sums,
              .batch = shape_.heads,
              .stride_a = std::size_t(head),
              .stride_b = std::size_t(sums),
              .stride_c = std::size_t(head) * std::size_t(sums),
              .arithmetic = shape_.arithmetic});
  p.end_gradient(of_values);
  std::size_t pairs = 0, by_turns = 0;
  for (const AlikeGraphs &kind : batch) {
    const EdgeAttention a = attention(kind);
    const std::size_t n = kind.first_node, m = kind.first_edge, h = std::size_t(shape_.heads);
    edge_attention_backward_accumulate<T>(s, d_qkv_ + n * 3 * d, d_bias_ + m * 2 * h, d_edge_normal_ + m * e,
                                          d_attended_ + n * d, d_gathered_ + n * h * 2 * e, weight_ + pairs,
                                          qkv_out_ + n * 3 * d, bias_ + m * 2 * h, edge_normal_ + m * e, slope_ + pairs,
                                          a.at_once() ? nullptr : keys_ + by_turns * 2 * d, a);
    pairs += a.weights();
    by_turns += a.at_once() ? 0 : std::size_t(kind.graphs) * std::size_t(kind.index.nodes);
  }
  if (edges() > 0)
    edge_bias_.template backward_accumulate<T>(s, p, d_edge_normal_, d_bias_.get(), edge_normal_, edges());
  qkv_.template backward<T>(s, p, d_normal_, d_qkv_.get(), normal1_, nodes());
  normalise(mean1_, rstd1_, x.nodes, 0);
  of_edges([&](const Modulation &m, std::size_t row, std::size_t at) {
    modulate_backward_accumulate<T>(s, dx.edges + row * e, edge_part(d_edge_conditions_, 0) + at,
                                    edge_part(d_edge_conditions_, 1) + at, d_edge_normal_ + row * e, x.edges + row * e,
                                    edge_mean_ + row, edge_rstd_ + row, edge_part(edge_conditions_, 1) + at, m);
  });
  for (const AlikeGraphs &kind : batch) // graphs without edges: nothing has written theirs
    if (kind.index.edges == 0)
      fill_zero(s, d_edge_conditions_ + kind.first * edge_parts * e,
                std::size_t(kind.graphs) * edge_parts * e * sizeof(W));
  const std::size_t silus = std::size_t(sizes_.graphs) * d;
  ada_.template backward<W>(s, p, d_silu_, d_conditions_.get(), silu_c, int(sizes_.graphs));
  add_scaled<W>(s, d_silu_c, d_silu_c, d_silu_, 1, silus);
  edge_ada_.template backward<W>(s, p, d_silu_, d_edge_conditions_.get(), silu_c, int(sizes_.graphs));
  add_scaled<W>(s, d_silu_c, d_silu_c, d_silu_, 1, silus);
}

template class GraphBlock<float>;
template class GraphBlock<bf16>;
template class GraphBlock<double>;

} // namespace theta
