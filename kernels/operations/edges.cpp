// On the cpu: one graph after another; products are tiles (product.h), what edges do are loops along their states.
#include "edges.h"
#include "kernels/device/parallel.h"
#include "kernels/parts/product.h"
#include "kernels/parts/scratch.h"
#include <cmath>
#include <limits>

namespace theta {

namespace cuda {
decltype(theta::edge_attention_forward<float>) edge_attention_forward;
decltype(theta::edge_attention_forward<bf16>) edge_attention_forward;
decltype(theta::edge_attention_backward_accumulate<float>) edge_attention_backward_accumulate;
decltype(theta::edge_attention_backward_accumulate<bf16>) edge_attention_backward_accumulate;
decltype(theta::add_ends<float>) add_ends;
decltype(theta::add_ends<bf16>) add_ends;
decltype(theta::add_ends_backward<float>) add_ends_backward;
decltype(theta::add_ends_backward<bf16>) add_ends_backward;
} // namespace cuda

namespace {

using namespace simd;

// A tensor of one graph to be read, in the arithmetic of sums: where it lies already, or as a copy of it.
template <class T> const Wide<T> *as_wide(const Scratch &scratch, const T *from, std::size_t n) {
  if constexpr (std::is_same_v<T, Wide<T>>) {
    return from;
  } else {
    Wide<T> *copy = scratch.take<Wide<T>>(n);
    for (std::size_t i = 0; i < n; ++i)
      copy[i] = widened(from[i]);
    return copy;
  }
}

// One to be written, or added to: `to` has it when give() has been called.
template <class T> class Result {
public:
  using W = Wide<T>;
  Result(const Scratch &scratch, T *to, std::size_t n) : to_(to), n_(n) {
    if constexpr (std::is_same_v<T, W>) {
      at_ = to;
    } else {
      at_ = scratch.take<W>(n);
      for (std::size_t i = 0; i < n; ++i)
        at_[i] = widened(to[i]);
    }
  }
  void give() const {
    if constexpr (!std::is_same_v<T, W>)
      for (std::size_t i = 0; i < n_; ++i)
        to_[i] = rounded<T>(at_[i]);
  }
  operator W *() const { return at_; }

private:
  T *to_;
  std::size_t n_;
  W *at_;
};

// Sizes of one graph's tensors.
struct Sizes {
  std::size_t model, qkv, out, gathered, bias, state, weight;
  explicit Sizes(const EdgeAttention &p)
      : model(std::size_t(p.heads) * p.head), qkv(3 * model * p.graph.nodes), out(model * p.graph.nodes),
        gathered(std::size_t(p.graph.nodes) * p.heads * 2 * p.width), bias(std::size_t(p.graph.edges) * 2 * p.heads),
        state(std::size_t(p.graph.edges) * p.width), weight(std::size_t(p.heads) * p.queries() * p.graph.nodes) {}
};

// In place, n numbers.
template <class W> void softmax(W *x, int n) {
  using P = Pack<W>;
  constexpr W none = -std::numeric_limits<W>::infinity();
  P most = broadcast<P>(none);
  RowSum<W> sum;
  for (int j = 0; j < n; j += lanes<W>) {
    const P there = load_some<P>(x + j, n - j);
    most = larger(most, counting<P>() < W(n - j) ? there : broadcast<P>(none));
  }
  const W largest = simd::largest(most);
  for (int j = 0; j < n; j += lanes<W>) {
    const P e = simd::exp(load_some<P>(x + j, n - j) - largest);
    store_some(x + j, e, n - j);
    sum.add(j, first_lanes(e, n - j));
  }
  const W share = 1 / sum.total();
  for (int j = 0; j < n; ++j)
    x[j] *= share;
}

// Queries that go at a time.
struct Queries {
  int first, count;
};
template <class F> void for_queries(const EdgeAttention &p, F f) {
  for (int i = 0; i < p.graph.nodes; i += p.queries())
    f(Queries{i, std::min(p.queries(), p.graph.nodes - i)});
}

// f(row, j, end, of_node): every end of those nodes: which of them, and its place in [nodes, heads, 2, width] for head 0.
template <class F> void for_ends(const EdgeAttention &p, const Queries &of, F f) {
  const GraphEdges &g = p.graph;
  for (int i = of.first; i < of.first + of.count; ++i)
    for (int t = g.first[i]; t < g.first[i + 1]; ++t)
      f(std::size_t(i - of.first), std::size_t(g.other[t]), std::size_t(g.end[t]),
        (std::size_t(i) * p.heads * 2 + std::size_t(g.end[t] % 2)) * p.width);
}

// One head of a graph as products want it: rows in whole packs, and the same transposed.
template <class W> class HeadBlock {
public:
  HeadBlock(const EdgeAttention &p, const Scratch &scratch)
      : nodes_(p.graph.nodes), head_(p.head), wide((p.head + lanes<W> - 1) / lanes<W> * lanes<W>),
        tall((p.graph.nodes + lanes<W> - 1) / lanes<W> * lanes<W>),
        at_(scratch.take<W>(std::size_t(tall) * std::size_t(wide))) {}
  const W *rows(const W *from, std::ptrdiff_t step, int count) const {
    for (int i = 0; i < count; ++i)
      for (int c = 0; c < wide; c += lanes<W>)
        store(at_ + i * wide + c, load_some<Pack<W>>(from + i * step + c, std::max(0, std::min(lanes<W>, head_ - c))));
    return at_;
  }
  const W *rows(const W *from, std::ptrdiff_t step) const { return rows(from, step, nodes_); }
  const W *transposed(const W *from, std::ptrdiff_t step) const {
    transpose_into(at_, tall, from, step, nodes_, head_);
    return at_;
  }

private:
  int nodes_, head_;

public:
  int wide, tall; // distances of rows, and of rows of the transposed

private:
  W *at_;
};

// weight [heads, of.count, nodes] of those queries of a graph; x its queries, keys and values.
template <class T>
void weigh(Wide<T> *weight, const Wide<T> *x, const T *bias, const HeadBlock<Wide<T>> &block, const Queries &of,
           const EdgeAttention &p) {
  using W = Wide<T>;
  const int nodes = p.graph.nodes, model = p.heads * p.head;
  const std::size_t square = std::size_t(of.count) * nodes;
  const W scale = 1 / std::sqrt(W(p.head));
  for (int h = 0; h < p.heads; ++h) {
    const W *q = x + h * p.head, *k = q + model;
    multiply_block(weight + h * square, nodes, q + std::size_t(of.first) * 3 * model, 3 * model, 1,
                   block.transposed(k, 3 * model), block.tall, of.count, nodes, p.head, false);
  }
  for (std::size_t i = 0; i < p.heads * square; ++i)
    weight[i] *= scale;
  for_ends(p, of, [&](std::size_t row, std::size_t j, std::size_t end, std::size_t) {
    for (int h = 0; h < p.heads; ++h)
      weight[h * square + row * nodes + j] += widened(bias[end * p.heads + h]);
  });
  for (int row = 0; row < p.heads * of.count; ++row)
    softmax(weight + std::size_t(row) * nodes, nodes);
}

template <class F> void for_graphs(const EdgeAttention &p, F f) {
  parallel_for(p.batch, p.multiply_adds(), [&](int b) { f(std::size_t(b)); });
}

} // namespace

template <class T>
void edge_attention_forward(Stream &s, T *out, T *gathered, Wide<T> *weight, const T *qkv, const T *bias,
                            const T *state, const EdgeAttention &p) {
  const Span span(s, "edge_attention_forward", 0, 2 * p.multiply_adds());
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda())
      return cuda::edge_attention_forward(s, out, gathered, weight, qkv, bias, state, p);
  using W = Wide<T>;
  using P = Pack<W>;
  const Sizes size(p);
  const int nodes = p.graph.nodes, model = int(size.model), width = p.width;
  for_graphs(p, [&](std::size_t b) {
    const Scratch scratch;
    const HeadBlock<W> block(p, scratch);
    const W *x = as_wide(scratch, qkv + b * size.qkv, size.qkv),
            *states = as_wide(scratch, state + b * size.state, size.state);
    const Result<T> to(scratch, out + b * size.out, size.out),
        sums(scratch, gathered + b * size.gathered, size.gathered);
    W *const of_sums = sums, *const w = weight + b * size.weight;
    std::fill_n(of_sums, size.gathered, W(0));
    for_queries(p, [&](const Queries &of) {
      const std::size_t square = std::size_t(of.count) * nodes;
      weigh<T>(w, x, bias + b * size.bias, block, of, p);
      for (int h = 0; h < p.heads; ++h)
        multiply_block(to + std::size_t(of.first) * model + h * p.head, model, w + h * square, nodes, 1,
                       block.rows(x + 2 * model + h * p.head, 3 * model), block.wide, of.count, p.head, nodes, false);
      for_ends(p, of, [&](std::size_t row, std::size_t j, std::size_t end, std::size_t at) {
        const W *from = states + end / 2 * width;
        for (int c = 0; c < width; c += lanes<W>) {
          const P there = load_some<P>(from + c, width - c);
          for (int h = 0; h < p.heads; ++h) {
            W *sum = of_sums + at + std::size_t(h) * 2 * width + c;
            store_some(sum, multiply_add(w[h * square + row * nodes + j], there, load_some<P>(sum, width - c)),
                       width - c);
          }
        }
      });
    });
    to.give(), sums.give();
  });
}

template <class T>
void edge_attention_backward_accumulate(Stream &s, T *dqkv, T *dbias, T *dstate, const T *dout, const T *dgathered,
                                        Wide<T> *weight, const T *qkv, const T *bias, const T *state, Wide<T> *slope,
                                        Wide<T> *keys, const EdgeAttention &p) {
  const Span span(s, "edge_attention_backward_accumulate", 0, (p.at_once() ? 5 : 6) * p.multiply_adds());
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda())
      return cuda::edge_attention_backward_accumulate(s, dqkv, dbias, dstate, dout, dgathered, weight, qkv, bias, state,
                                                      slope, keys, p);
  using W = Wide<T>;
  using P = Pack<W>;
  const Sizes size(p);
  const int nodes = p.graph.nodes, model = int(size.model), width = p.width;
  const W scale = 1 / std::sqrt(W(p.head));
  for_graphs(p, [&](std::size_t b) {
    const Scratch scratch;
    const HeadBlock<W> block(p, scratch);
    const W *x = as_wide(scratch, qkv + b * size.qkv, size.qkv), *d = as_wide(scratch, dout + b * size.out, size.out),
            *d_sums = as_wide(scratch, dgathered + b * size.gathered, size.gathered),
            *states = as_wide(scratch, state + b * size.state, size.state);
    const Result<T> dx(scratch, dqkv + b * size.qkv, size.qkv), d_states(scratch, dstate + b * size.state, size.state);
    T *d_bias = dbias + b * size.bias;
    W *const w = weight + b * size.weight, *const of_scores = slope + b * size.weight; // of weights, then of scores
    for_queries(p, [&](const Queries &of) {
      const std::size_t square = std::size_t(of.count) * nodes, first = std::size_t(of.first);
      // What all queries give keys and values, and what keys give these.
      const auto to_all = [&](W *to, const W *by, const W *rows) {
        multiply_block(to, 3 * model, by, 1, nodes, rows, block.wide, nodes, p.head, of.count, of.first > 0);
      };
      const auto to_these = [&](W *to, const W *by, const W *rows) {
        multiply_block(to + first * 3 * model, 3 * model, by, nodes, 1, rows, block.wide, of.count, p.head, nodes,
                       false);
      };
      if (!p.at_once())
        weigh<T>(w, x, bias + b * size.bias, block, of, p);
      for (int h = 0; h < p.heads; ++h) {
        const W *v = x + 2 * model + h * p.head, *of_out = d + first * model + h * p.head;
        multiply_block(of_scores + h * square, nodes, of_out, model, 1, block.transposed(v, 3 * model), block.tall,
                       of.count, nodes, p.head, false);
        to_all(dx + 2 * model + h * p.head, w + h * square, block.rows(of_out, model, of.count));
      }
      for_ends(p, of, [&](std::size_t row, std::size_t j, std::size_t end, std::size_t at) {
        const W *from = states + end / 2 * width;
        W *to = d_states + end / 2 * width;
        for (int h = 0; h < p.heads; ++h) {
          const std::size_t pair = h * square + row * nodes + j;
          const W *d_sum = d_sums + at + std::size_t(h) * 2 * width;
          RowSum<W> dot;
          for (int c = 0; c < width; c += lanes<W>) {
            const P there = load_some<P>(d_sum + c, width - c);
            dot.add_product(c, there, load_some<P>(from + c, width - c));
            store_some(to + c, multiply_add(w[pair], there, load_some<P>(to + c, width - c)), width - c);
          }
          of_scores[pair] += dot.total();
        }
      });
      for (int row = 0; row < p.heads * of.count; ++row) {
        const W *of_w = w + std::size_t(row) * nodes;
        W *of_slope = of_scores + std::size_t(row) * nodes;
        const W sum = row_sum<W>(
            nodes, [&](int j, int count) { return load_some<P>(of_w + j, count) * load_some<P>(of_slope + j, count); });
        for (int j = 0; j < nodes; j += lanes<W>)
          store_some(of_slope + j, load_some<P>(of_w + j, nodes - j) * (load_some<P>(of_slope + j, nodes - j) - sum),
                     nodes - j);
      }
      for_ends(p, of, [&](std::size_t row, std::size_t j, std::size_t end, std::size_t) {
        for (int h = 0; h < p.heads; ++h)
          d_bias[end * p.heads + h] = rounded<T>(of_scores[h * square + row * nodes + j]);
      });
      for (std::size_t i = 0; i < p.heads * square; ++i)
        of_scores[i] *= scale;
      for (int h = 0; h < p.heads; ++h) {
        const W *q = x + h * p.head, *by = of_scores + h * square;
        to_these(dx + h * p.head, by, block.rows(q + model, 3 * model));
        to_all(dx + model + h * p.head, by, block.rows(q + first * 3 * model, 3 * model, of.count));
      }
    });
    dx.give(), d_states.give();
  });
}

template <class T>
void add_ends(Stream &s, T *y, const T *x, const T *of_node, int batch, int width, const GraphEdges &g) {
  const double n = double(batch) * g.edges * width;
  const Span span(s, "add_ends", 4 * n * sizeof(T));
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda())
      return cuda::add_ends(s, y, x, of_node, batch, width, g);
  parallel_for(batch, n, [&](int b) {
    const T *node = of_node + std::size_t(b) * g.nodes * 2 * width;
    for (int e = 0; e < g.edges; ++e) {
      const std::size_t at = (std::size_t(b) * g.edges + e) * width;
      const T *target = node + std::size_t(g.target[e]) * 2 * width,
              *source = node + (std::size_t(g.source[e]) * 2 + 1) * width;
#pragma omp simd
      for (int c = 0; c < width; ++c)
        y[at + c] = rounded<T>(widened(x[at + c]) + widened(target[c]) + widened(source[c]));
    }
  });
}

template <class T>
void add_ends_backward(Stream &s, T *d_of_node, const T *dy, int batch, int width, const GraphEdges &g) {
  const double n = double(batch) * g.edges * width;
  const Span span(s, "add_ends_backward", 2 * n * sizeof(T));
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda())
      return cuda::add_ends_backward(s, d_of_node, dy, batch, width, g);
  using W = Wide<T>;
  parallel_for(batch, 2 * n, [&](int b) {
    const Scratch scratch;
    W *const sum = scratch.take<W>(std::size_t(2) * width);
    for (int i = 0; i < g.nodes; ++i) {
      std::fill_n(sum, 2 * width, W(0));
      for (int t = g.first[i]; t < g.first[i + 1]; ++t) {
        const T *from = dy + (std::size_t(b) * g.edges + g.end[t] / 2) * width;
        W *to = sum + std::size_t(g.end[t] % 2) * width;
#pragma omp simd
        for (int c = 0; c < width; ++c)
          to[c] += widened(from[c]);
      }
      T *to = d_of_node + (std::size_t(b) * g.nodes + i) * 2 * width;
      for (int c = 0; c < 2 * width; ++c)
        to[c] = rounded<T>(sum[c]);
    }
  });
}

#define THETA_INSTANTIATE(T)                                                                                           \
  template void edge_attention_forward(Stream &, T *, T *, Wide<T> *, const T *, const T *, const T *,                 \
                                       const EdgeAttention &);                                                         \
  template void edge_attention_backward_accumulate(Stream &, T *, T *, T *, const T *, const T *, Wide<T> *,           \
                                                   const T *, const T *, const T *, Wide<T> *, Wide<T> *,              \
                                                   const EdgeAttention &);                                             \
  template void add_ends(Stream &, T *, const T *, const T *, int, int, const GraphEdges &);                           \
  template void add_ends_backward(Stream &, T *, const T *, int, int, const GraphEdges &);
THETA_INSTANTIATE(float)
THETA_INSTANTIATE(bf16)
THETA_INSTANTIATE(double)

} // namespace theta
