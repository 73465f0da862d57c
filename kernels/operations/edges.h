// Graphs whose edges have a state of their own: attention of all nodes to all, which the edges between two nodes bias
// and add to, and edges that receive messages from the nodes at their ends. The graphs of a call are alike: they have
// the same nodes and edges, and differ in numbers alone.
//
// Every edge leads from a source to a target, and each of the two has an end of it: side 0 is the target's, side 1 the
// source's.
#pragma once
#include "kernels/device/bf16.h"
#include "kernels/device/device.h"
#include "kernels/device/host_device.h"

namespace theta {

// What stands where, on the stream's device.
struct GraphEdges {
  int nodes, edges;
  const std::int32_t *target, *source; // [edges]: nodes
  const std::int32_t *first;           // [nodes + 1]: node i has the ends first[i]..first[i+1]−1 of those below
  const std::int32_t *other;           // [2·edges]: the node at the other end
  const std::int32_t *end;             // [2·edges]: 2·edge + side
};

struct EdgeAttention {
  int batch, heads, head, width; // head: elements of one; width: of an edge's state
  GraphEdges graph;
  int most_queries = 128; // of a graph's nodes at a time: nothing is as large as pairs of nodes are many
  THETA_HOST_DEVICE std::size_t pairs() const { return std::size_t(batch) * heads; }
  int queries() const { return most_queries < graph.nodes ? most_queries : graph.nodes; }
  bool at_once() const { return queries() == graph.nodes; }
  std::size_t weights() const { return pairs() * std::size_t(queries()) * std::size_t(graph.nodes); }
  double multiply_adds() const { // of the forward pass
    return double(batch) * heads * (2.0 * graph.nodes * graph.nodes * head + 2.0 * graph.edges * width);
  }
};

// With the ends of node i, each of an edge e, a side and the node j at the other end:
//   weight_ij = softmax_j(q_i·k_j/√head + Σ_{ends of i at j} bias_{e,side})
//   out_i = Σ_j weight_ij·v_j,  gathered_{i,side} = Σ_{ends of i} weight_ij·state_e
// What edges add to values is a product of `gathered` with weights of its own; made of the sums, it costs what nodes
// cost, not what edges do.
//   qkv [batch, nodes, 3, heads, head]; bias [batch, edges, 2, heads]; state [batch, edges, width]
//   out [batch, nodes, heads, head]; gathered [batch, nodes, heads, 2, width]
//   weight [batch, heads, queries(), nodes]: workspace, which the backward reads where all queries go at once
// FLOPs: twice multiply_adds(). Bytes: all of them once. On cuda a warp has a query of one head.
template <class T>
void edge_attention_forward(Stream &, T *out, T *gathered, Wide<T> *weight, const T *qkv, const T *bias, const T *state,
                            const EdgeAttention &);

// dqkv and dbias written, dstate added to. Every sum has one owner and one order. FLOPs: five times multiply_adds();
// where queries do not go at once, six: their weights are made again.
//   slope: workspace as weight; keys [batch, nodes, 2, heads, head]: workspace where queries do not go at once.
template <class T>
void edge_attention_backward_accumulate(Stream &, T *dqkv, T *dbias, T *dstate, const T *dout, const T *dgathered,
                                        Wide<T> *weight, const T *qkv, const T *bias, const T *state, Wide<T> *slope,
                                        Wide<T> *keys, const EdgeAttention &);

// y_e = x_e + of_node_{target of e, 0} + of_node_{source of e, 1}.
//   y, x [batch, edges, width]; of_node [batch, nodes, 2, width]; y may be x. Bytes: 4·y.
template <class T>
void add_ends(Stream &, T *y, const T *x, const T *of_node, int batch, int width, const GraphEdges &);

// Its backward to of_node, written: sums over a node's ends; that to x is dy.
template <class T>
void add_ends_backward(Stream &, T *d_of_node, const T *dy, int batch, int width, const GraphEdges &);

} // namespace theta
