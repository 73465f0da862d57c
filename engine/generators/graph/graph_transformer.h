// A diffusion transformer over networks as graphs (engine/weights/graph.h): units are tokens, weights between them
// edges with a state of their own (engine/layers/graph_block.h).
//   h = encode(nodes) + told(their features) [+ encode(the start's)], e the same of edges
//   h', e' = blocks(h, e)
//   y = norm(h')·(1 + scale) + shift, z = norm(e')·(1 + scale) + shift + ends(y) of target and source
//   out = decode(y), decode(z); 0 where an architecture has nothing
// It is equivariant to the order of units in every layer, and knows an architecture by its features alone: places are
// learned nowhere. Time and conditions come in by modulation of nodes and edges (transformer/tellers.h). Decoders, the
// last ends, and every modulation, start at zero.
#pragma once
#include "engine/generators/flow/model.h"
#include "engine/generators/flow/tellers.h"
#include "engine/layers/graph_block.h"
#include "engine/weights/graph.h"
#include <variant>

namespace theta {

struct GraphTransformerShape {
  GraphSlots slots;
  int width = 96, edge_width = 32, layers = 4, heads = 4;
  int features = 64; // of time, and of a number
  Arithmetic arithmetic = Arithmetic::fp32;
  std::vector<ConditionShape> conditions{};
  bool start = false; // the network begins from another, which is a condition too
  bool recompute = false;
  bool fused = false;
};

template <class T> class GraphTransformer : public FlowModel<T> {
public:
  using typename FlowModel<T>::Told;
  // Of networks of these architectures, whose graphs have the shape's slots.
  GraphTransformer(const GraphTransformerShape &, std::vector<WeightGraph>);

  const Layout &parameters() const override { return parameters_; }
  const Layout &buffers() const override { return buffers_; } // none
  const EarlyTensors &early() const override { return early_; }
  bool reads_narrow() const override { return shape_.arithmetic == Arithmetic::bf16 && std::is_same_v<T, float>; }

  void plan_for(MemoryPlan &, const std::vector<int> &networks, Mode) override;
  bool ignores_padding() const override { return true; }
  void upload(Stream &) const override;
  const T *forward(Stream &, const Parameters<T> &, const T *x, const Told &) override;
  T *d_out() const override { return d_out_; }
  void backward(Stream &, const Parameters<T> &) override;

private:
  // With Arithmetic::bf16, floats hold bf16 blocks.
  using Blocks = std::conditional_t<std::is_same_v<T, float>,
                                    std::variant<std::vector<GraphBlock<float>>, std::vector<GraphBlock<bf16>>>,
                                    std::variant<std::vector<GraphBlock<T>>>>;
  // An architecture, and what of it is on the device.
  struct Kind {
    WeightGraph graph;
    Tensor<std::int32_t> index{}, place{}; // GraphEdges, one after another; [S]
    std::size_t first_element = 0;         // of the batch
  };
  // Elements of nodes or edges on their way in and out, and the features of nodes or edges of one network of each
  // architecture.
  struct Ends {
    Linear encode, told, decode;
    std::optional<Linear> start;
    Tensor<T> x{}, start_x{}, h{}, start_h{}, y{}; // [rows, elements of one], [rows, width]
    Tensor<T> d_y{}, d_h{};
    Tensor<T> features{}, of_features{}, d_of_features{}; // [rows of one network each, ...]
    std::int64_t rows = 0, told_rows = 0;
  };
  // An architecture's nodes or edges.
  struct Place {
    const Kind &kind;
    int networks, rows;        // rows: of one network
    std::size_t first, size;   // elements: the first network's first, how many a network has
    std::size_t row, told_row; // first rows
  };
  Ends ends(const std::string &name, int elements, int features, int width);
  Tensor<T> reserve(MemoryPlan &, const std::string &what, std::int64_t rows, std::int64_t width) const;
  Blocks &backward_blocks() { return shape_.recompute ? again_ : blocks_; }
  const GraphBatch &batch();                                    // with pointers, while an arena holds the plan
  template <class F> void for_places(bool of_edges, F f) const; // f(Place) of architectures that have any
  bool is_edges(const Ends &e) const { return &e == &edges_; }
  void encode(Stream &, const Parameters<T> &, const Ends &, const T *x, const T *start);
  void encode_backward(Stream &, const Parameters<T> &, const Ends &, const T *d);
  void decode(Stream &, const Parameters<T> &, const Ends &, const T *normal);
  void decode_backward(Stream &, const Parameters<T> &, const Ends &, T *d_normal, const T *normal);

  GraphTransformerShape shape_;
  std::vector<Kind> kinds_;
  Layout parameters_{model_alignment}, buffers_;
  EarlyTensors early_;
  Ends nodes_, edges_;
  Tellers<T> tellers_;
  Blocks blocks_, again_;
  Linear final_, edge_final_, final_ends_;
  std::vector<int> networks_; // of each kind
  int graphs_ = 0;
  GraphBatch batch_;
  std::size_t elements_ = 0;                 // of a batch
  std::vector<GraphStates<const T>> inputs_; // of the blocks, and of the final normalisation
  Tensor<T> conditions_, edge_conditions_, mean_, rstd_, edge_mean_, edge_rstd_, normal_, edge_normal_, of_ends_,
      heard_, out_;
  Tensor<T> d_out_, d_normal_, d_heard_, d_of_ends_, d_nodes_, d_edges_, d_conditions_, d_edge_conditions_, d_silu_,
      early_gradient_;
};

} // namespace theta
