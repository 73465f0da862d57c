// A transformer block over graphs whose edges have a state of their own (kernels/operations/edges.h), conditioned by a
// vector a graph on both (adaLN-Zero: Peebles & Xie, 2023). h are nodes, e edges, c what conditions:
//   (shift1, scale1, gate1, shift2, scale2, gate2, shift3, scale3) = ada(silu(c))
//   (shift, scale, gate) = edge_ada(silu(c))
//   s = norm(e)·(1 + scale) + shift
//   (a, g) = attention of qkv(norm(h)·(1 + scale1) + shift1), biased by edge_bias(s), and its sums g of s along edges
//   h = h + gate1·proj(a + edge_values·g), head by head
//   h = h + gate2·fc2(gelu_tanh(fc1(norm(h)·(1 + scale2) + shift2)))
//   m = ends(norm(h)·(1 + scale3) + shift3)
//   e = e + gate·edge_fc2(gelu_tanh(edge_fc1(s + m of the target + m of the source)))
// A permutation of nodes permutes the output. A batch is of graphs of several kinds, one kind after another: nothing is
// padded, and products see the rows of all.
// The residual streams h and e, and what conditions, are Wide<T>; branches are T, which may be bf16 (dit_block.h).
#pragma once
#include "engine/memory/plan.h"
#include "kernels/operations/edges.h"
#include "kernels/operations/modulate.h"
#include "linear.h"
#include <optional>

namespace theta {

// Graphs of one kind in a batch, and what comes before them there.
struct AlikeGraphs {
  int graphs;
  GraphEdges index;
  std::size_t first = 0, first_node = 0, first_edge = 0;
};
using GraphBatch = std::vector<AlikeGraphs>;

// `pairs` of nodes attend to one another at a time; `by_turns` nodes are of graphs whose nodes do not all at once.
struct GraphSizes {
  std::int64_t graphs = 0, nodes = 0, edges = 0, pairs = 0, by_turns = 0;
};
GraphSizes sizes_of(const GraphBatch &);

struct GraphBlockShape {
  int width, heads;  // of nodes
  int edge_width;    // of edges
  int expansion = 4; // of nodes' hidden layer; edges' is 2
  Arithmetic arithmetic = Arithmetic::fp32;
};

// What a block reads and writes.
template <class W> struct GraphStates { W *nodes, *edges; };

template <class T> class GraphBlock {
public:
  using W = Wide<T>;

  // Adds NAMEqkv, NAMEproj, NAMEfc1, NAMEfc2, NAMEends, NAMEedge_bias, NAMEedge_fc1, NAMEedge_fc2, NAMEada,
  // NAMEedge_ada
  // (.weight, .bias) and NAMEedge_values.weight [heads, head, 2·edge_width] to the layout. Both ada start at zero, so
  // that a fresh block is the identity.
  GraphBlock(Layout &, const std::string &name, const GraphBlockShape &);

  // Rehearses forward; in training, what backward needs stays until plan_backward.
  void plan_forward(MemoryPlan &, const std::string &name, const GraphSizes &, Mode);
  void plan_backward(MemoryPlan &);

  // The block's output. silu_c [graphs, width] is silu(c) already. x must live until backward.
  GraphStates<W> forward(Stream &, const Parameters<W> &, const GraphStates<const W> &x, const W *silu_c,
                         const GraphBatch &);
  // d, the gradients of the output on entry, become those of x. d_silu_c is added to.
  void backward_accumulate(Stream &, const Parameters<W> &, const GraphStates<W> &d, W *d_silu_c,
                           const GraphStates<const W> &x, const W *silu_c, const GraphBatch &);

private:
  static constexpr int node_parts = 8, edge_parts = 3;
  template <class E>
  void reserve(MemoryPlan &, Tensor<E> &, const char *what, std::int64_t width, std::int64_t rows) const;
  int nodes() const { return int(sizes_.nodes); }
  int edges() const { return int(sizes_.edges); }
  Gemm values_product() const;
  // Of ada's and edge_ada's: part i.
  W *part(const Tensor<W> &of, int i) const { return of + std::size_t(i) * std::size_t(shape_.width); }
  W *edge_part(const Tensor<W> &of, int i) const { return of + std::size_t(i) * std::size_t(shape_.edge_width); }
  EdgeAttention attention(const AlikeGraphs &) const;

  GraphBlockShape shape_;
  Linear qkv_, edge_bias_;
  std::size_t edge_values_; // offset
  Linear proj_, fc1_, fc2_, ends_, edge_fc1_, edge_fc2_, ada_, edge_ada_;
  std::string name_;
  GraphSizes sizes_{};
  Tensor<W> conditions_, edge_conditions_;
  Tensor<T> normal1_, qkv_out_, edge_normal_, bias_, attended_, gathered_, branch1_, normal2_, hidden_, active_,
      branch2_, normal3_, of_ends_, heard_, edge_hidden_, edge_active_, edge_branch_;
  Tensor<W> mean1_, rstd1_, edge_mean_, edge_rstd_, weight_, middle_, mean2_, rstd2_, out_, mean3_, rstd3_, edge_out_;
  Tensor<T> d_edge_branch_, d_edge_hidden_, d_edge_normal_, d_of_ends_, d_normal_, d_branch_, d_hidden_, d_attended_,
      d_gathered_, d_qkv_, d_bias_;
  Tensor<W> d_conditions_, d_edge_conditions_, slope_, keys_, d_silu_;
};

// The same work for graphs of every kind in turn: what conditions them stands a row of `parts`·width a graph.
template <class F> void for_alike(const GraphBatch &batch, bool of_edges, int width, int parts, F f) {
  for (const AlikeGraphs &kind : batch) {
    const int tokens = of_edges ? kind.index.edges : kind.index.nodes;
    if (tokens > 0)
      f(Modulation{kind.graphs, tokens, width, std::size_t(parts) * std::size_t(width)},
        of_edges ? kind.first_edge : kind.first_node, kind.first * std::size_t(parts) * std::size_t(width));
  }
}

} // namespace theta
