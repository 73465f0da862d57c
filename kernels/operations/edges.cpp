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
template <class T> const Wide<T> *widened(const Scratch &scratch, const T *from, std::size_t n) {
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
  std::size_t model, qkv, out, gathered, bias, state, square;
  explicit Sizes(const EdgeAttention &p)
      : model(std::size_t(p.heads) * p.head), qkv(3 * model * p.graph.nodes), out(model * p.graph.nodes),
        gathered(std::size_t(p.graph.nodes) * p.heads * 2 * p.width), bias(std::size_t(p.graph.edges) * 2 * p.heads),
        state(std::size_t(p.graph.edges) * p.width), square(std::size_t(p.graph.nodes) * p.graph.nodes) {}
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

// f(i, j, end, of_node): every end of every node, `of_node` its place in [nodes, heads, 2, width] for head 0.
template <class F> void for_ends(const EdgeAttention &p, F f) {
  const GraphEdges &g = p.graph;
  for (int i = 0; i < g.nodes; ++i)
    for (int t = g.first[i]; t < g.first[i + 1]; ++t)
      f(std::size_t(i), std::size_t(g.other[t]), std::size_t(g.end[t]),
        (std::size_t(i) * p.heads * 2 + std::size_t(g.end[t] % 2)) * p.width);
}

// One head of a graph as products want it: rows in whole packs, and the same transposed.
template <class W> class HeadBlock {
public:
  HeadBlock(const EdgeAttention &p, const Scratch &scratch)
      : nodes_(p.graph.nodes), head_(p.head), wide((p.head + lanes<W> - 1) / lanes<W> * lanes<W>),
        tall((p.graph.nodes + lanes<W> - 1) / lanes<W> * lanes<W>),
        at_(scratch.take<W>(std::size_t(tall) * std::size_t(wide))) {}
  const W *rows(const W *from, std::ptrdiff_t step) const {
    for (int i = 0; i < nodes_; ++i)
      for (int c = 0; c < wide; c += lanes<W>)
        store(at_ + i * wide + c, load_some<Pack<W>>(from + i * step + c, std::max(0, std::min(lanes<W>, head_ - c))));
    return at_;
  }
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
  const W scale = 1 / std::sqrt(W(p.head));
  for_graphs(p, [&](std::size_t b) {
    const Scratch scratch;
    const HeadBlock<W> block(p, scratch);
    const W *x = widened(scratch, qkv + b * size.qkv, size.qkv),
            *states = widened(scratch, state + b * size.state, size.state);
    const Result<T> to(scratch, out + b * size.out, size.out),
        sums(scratch, gathered + b * size.gathered, size.gathered);
    W *const of_sums = sums;
    const T *of_bias = bias + b * size.bias;
    W *w = weight + b * p.heads * size.square;
    for (int h = 0; h < p.heads; ++h) {
      const W *q = x + h * p.head, *k = q + model;
      multiply_block(w + h * size.square, nodes, q, 3 * model, 1, block.transposed(k, 3 * model), block.tall, nodes,
                     nodes, p.head, false);
    }
    for (std::size_t i = 0; i < p.heads * size.square; ++i)
      w[i] *= scale;
    for_ends(p, [&](std::size_t i, std::size_t j, std::size_t end, std::size_t) {
      for (int h = 0; h < p.heads; ++h)
        w[h * size.square + i * nodes + j] += widened(of_bias[end * p.heads + h]);
    });
    for (int row = 0; row < p.heads * nodes; ++row)
      softmax(w + std::size_t(row) * nodes, nodes);
    for (int h = 0; h < p.heads; ++h)
      multiply_block(to + h * p.head, model, w + h * size.square, nodes, 1,
                     block.rows(x + 2 * model + h * p.head, 3 * model), block.wide, nodes, p.head, nodes, false);
    std::fill_n(of_sums, size.gathered, W(0));
    for_ends(p, [&](std::size_t i, std::size_t j, std::size_t end, std::size_t at) {
      const W *from = states + end / 2 * width;
      for (int c = 0; c < width; c += lanes<W>) {
        const P there = load_some<P>(from + c, width - c);
        for (int h = 0; h < p.heads; ++h) {
          W *sum = of_sums + at + std::size_t(h) * 2 * width + c;
          store_some(sum, multiply_add(w[h * size.square + i * nodes + j], there, load_some<P>(sum, width - c)),
                     width - c);
        }
      }
    });
    to.give(), sums.give();
  });
}

template <class T>
void edge_attention_backward_accumulate(Stream &s, T *dqkv, T *dbias, T *dstate, const T *dout, const T *dgathered,
                                        const Wide<T> *weight, const T *qkv, const T *state, Wide<T> *workspace,
                                        const EdgeAttention &p) {
  const Span span(s, "edge_attention_backward_accumulate", 0, 5 * p.multiply_adds());
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda())
      return cuda::edge_attention_backward_accumulate(s, dqkv, dbias, dstate, dout, dgathered, weight, qkv, state,
                                                      workspace, p);
  using W = Wide<T>;
  using P = Pack<W>;
  const Sizes size(p);
  const int nodes = p.graph.nodes, model = int(size.model), width = p.width;
  const W scale = 1 / std::sqrt(W(p.head));
  for_graphs(p, [&](std::size_t b) {
    const Scratch scratch;
    const HeadBlock<W> block(p, scratch);
    const W *x = widened(scratch, qkv + b * size.qkv, size.qkv), *d = widened(scratch, dout + b * size.out, size.out),
            *d_sums = widened(scratch, dgathered + b * size.gathered, size.gathered),
            *states = widened(scratch, state + b * size.state, size.state);
    const Result<T> dx(scratch, dqkv + b * size.qkv, size.qkv), d_states(scratch, dstate + b * size.state, size.state);
    T *d_bias = dbias + b * size.bias;
    const W *w = weight + b * p.heads * size.square;
    W *slope = workspace + b * p.heads * size.square; // of weights, then of scores
    const auto product = [&](W *to, int row, const W *a, int a_row, int a_step, const W *rows) {
      multiply_block(to, row, a, a_row, a_step, rows, block.wide, nodes, p.head, nodes, false);
    };
    for (int h = 0; h < p.heads; ++h) {
      const W *v = x + 2 * model + h * p.head, *of_out = d + h * p.head;
      multiply_block(slope + h * size.square, nodes, of_out, model, 1, block.transposed(v, 3 * model), block.tall,
                     nodes, nodes, p.head, false);
      product(dx + 2 * model + h * p.head, 3 * model, w + h * size.square, 1, nodes, block.rows(of_out, model));
    }
    for_ends(p, [&](std::size_t i, std::size_t j, std::size_t end, std::size_t at) {
      const W *from = states + end / 2 * width;
      W *to = d_states + end / 2 * width;
      for (int h = 0; h < p.heads; ++h) {
        const std::size_t pair = h * size.square + i * nodes + j;
        const W *d_sum = d_sums + at + std::size_t(h) * 2 * width;
        RowSum<W> dot;
        for (int c = 0; c < width; c += lanes<W>) {
          const P of = load_some<P>(d_sum + c, width - c);
          dot.add_product(c, of, load_some<P>(from + c, width - c));
          store_some(to + c, multiply_add(w[pair], of, load_some<P>(to + c, width - c)), width - c);
        }
        slope[pair] += dot.total();
      }
    });
    for (int row = 0; row < p.heads * nodes; ++row) {
      const W *of_w = w + std::size_t(row) * nodes;
      W *of_slope = slope + std::size_t(row) * nodes;
      const W sum = row_sum<W>(
          nodes, [&](int j, int count) { return load_some<P>(of_w + j, count) * load_some<P>(of_slope + j, count); });
      for (int j = 0; j < nodes; j += lanes<W>)
        store_some(of_slope + j, load_some<P>(of_w + j, nodes - j) * (load_some<P>(of_slope + j, nodes - j) - sum),
                   nodes - j);
    }
    for_ends(p, [&](std::size_t i, std::size_t j, std::size_t end, std::size_t) {
      for (int h = 0; h < p.heads; ++h)
        d_bias[end * p.heads + h] = rounded<T>(slope[h * size.square + i * nodes + j]);
    });
    for (std::size_t i = 0; i < p.heads * size.square; ++i)
      slope[i] *= scale;
    for (int h = 0; h < p.heads; ++h) {
      const W *q = x + h * p.head, *of_slope = slope + h * size.square;
      product(dx + h * p.head, 3 * model, of_slope, nodes, 1, block.rows(q + model, 3 * model));
      product(dx + model + h * p.head, 3 * model, of_slope, 1, nodes, block.rows(q, 3 * model));
    }
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
  template void edge_attention_backward_accumulate(Stream &, T *, T *, T *, const T *, const T *, const Wide<T> *,     \
                                                   const T *, const T *, Wide<T> *, const EdgeAttention &);            \
  template void add_ends(Stream &, T *, const T *, const T *, int, int, const GraphEdges &);                           \
  template void add_ends_backward(Stream &, T *, const T *, int, int, const GraphEdges &);
THETA_INSTANTIATE(float)
THETA_INSTANTIATE(bf16)
THETA_INSTANTIATE(double)

} // namespace theta
