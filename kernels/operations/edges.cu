// A warp has a query of one head (backward also a key, or an edge), and walks over what it needs of its graph: graphs
// are small, and what a warp reads again lies in the first cache. Rows of weights are in memory, those of the queries
// that go at a time; lane l has the keys l, l + 32, ... of its query, so that sums over the ends of a node need no atomics: every lane
// walks over all of them and takes those that are its own.
#include "edges.h"
#include "kernels/parts/each.cuh"
#include "kernels/parts/warp.cuh"

namespace theta::cuda {

namespace {

constexpr unsigned threads = 256, warps = threads / 32;

__device__ inline int lane() { return int(threadIdx.x) % 32; }

// Queries that go at a time.
struct Queries {
  int first, count;
};
template <class F> void for_queries(const EdgeAttention &p, F f) {
  for (int i = 0; i < p.graph.nodes; i += p.queries())
    f(Queries{i, p.queries() < p.graph.nodes - i ? p.queries() : p.graph.nodes - i});
}

// One of those nodes, or of all keys: node `i` of head `h` of graph `b`, and where its numbers lie.
struct Node {
  std::size_t b, h, i;
  std::size_t qkv, out, gathered, row; // offsets: of its q, its out, its sums, its row of weights
  __device__ Node(std::size_t item, const EdgeAttention &p, const Queries &of) {
    const std::size_t nodes = p.graph.nodes, model = std::size_t(p.heads) * p.head;
    i = of.first + item % of.count, h = item / of.count % p.heads, b = item / of.count / p.heads;
    const std::size_t node = b * nodes + i;
    qkv = node * 3 * model + h * p.head, out = node * model + h * p.head;
    gathered = (node * p.heads + h) * 2 * p.width, row = item * nodes;
  }
};

template <class T> __device__ inline float dot(const T *a, const T *b, int n) {
  float sum = 0;
  for (int c = 0; c < n; ++c)
    sum = fmaf(to_float(a[c]), to_float(b[c]), sum);
  return sum;
}

template <class T>
__global__ void __launch_bounds__(threads)
    weigh_kernel(float *weight, const T *qkv, const T *bias, Queries of, EdgeAttention p) {
  const std::size_t item = std::size_t(blockIdx.x) * warps + threadIdx.x / 32;
  const GraphEdges &g = p.graph;
  if (item >= p.pairs() * of.count) // whole warps
    return;
  const Node at(item, p, of);
  const int model = p.heads * p.head;
  const T *q = qkv + at.qkv, *k = qkv + (at.b * g.nodes * 3 + 1) * model + at.h * p.head;
  const T *of_bias = bias + at.b * g.edges * 2 * p.heads + at.h;
  float *w = weight + at.row;
  const float scale = 1 / sqrtf(float(p.head));
  const int first = g.first[at.i], last = g.first[at.i + 1];
  float most = -3e38f, sum = 0;
  for (int j = lane(); j < g.nodes; j += 32)
    w[j] = scale * dot(q, k + std::size_t(j) * 3 * model, p.head);
  for (int t = first; t < last; ++t)
    if (const int j = g.other[t]; j % 32 == lane())
      w[j] += to_float(of_bias[std::size_t(g.end[t]) * p.heads]);
  for (int j = lane(); j < g.nodes; j += 32)
    most = fmaxf(most, w[j]);
  most = warp_reduce<Max>(most);
  for (int j = lane(); j < g.nodes; j += 32)
    w[j] = expf(w[j] - most), sum += w[j];
  const float share = 1 / warp_reduce<Sum>(sum);
  for (int j = lane(); j < g.nodes; j += 32)
    w[j] *= share;
}

template <class T>
__global__ void __launch_bounds__(threads) attend_kernel(T *out, T *gathered, const float *weight, const T *qkv,
                                                         const T *state, Queries queries, EdgeAttention p) {
  const std::size_t item = std::size_t(blockIdx.x) * warps + threadIdx.x / 32;
  const GraphEdges &g = p.graph;
  if (item >= p.pairs() * queries.count) // whole warps
    return;
  const Node at(item, p, queries);
  const int model = p.heads * p.head, first = g.first[at.i], last = g.first[at.i + 1];
  const T *v = qkv + (at.b * g.nodes * 3 + 2) * model + at.h * p.head, *of_state = state + at.b * g.edges * p.width;
  const float *w = weight + at.row;
  for (int c = lane(); c < p.head; c += 32) {
    float of = 0;
    for (int j = 0; j < g.nodes; ++j)
      of += w[j] * to_float(v[std::size_t(j) * 3 * model + c]);
    out[at.out + c] = rounded<T>(of);
  }
  for (int c = lane(); c < p.width; c += 32) {
    float as_target = 0, as_source = 0;
    for (int t = first; t < last; ++t) {
      const float of = w[g.other[t]] * to_float(of_state[std::size_t(g.end[t] / 2) * p.width + c]);
      (g.end[t] % 2 ? as_source : as_target) += of;
    }
    gathered[at.gathered + c] = rounded<T>(as_target);
    gathered[at.gathered + p.width + c] = rounded<T>(as_source);
  }
}

// The slopes of a query's scores, and what they are to biases and to the query.
template <class T>
__global__ void __launch_bounds__(threads)
    queries_kernel(T *dqkv, T *dbias, float *slope, const T *dout, const T *dgathered, const float *weight,
                   const T *qkv, const T *state, Queries queries, EdgeAttention p) {
  const std::size_t item = std::size_t(blockIdx.x) * warps + threadIdx.x / 32;
  const GraphEdges &g = p.graph;
  if (item >= p.pairs() * queries.count) // whole warps
    return;
  const Node at(item, p, queries);
  const int model = p.heads * p.head;
  const T *k = qkv + (at.b * g.nodes * 3 + 1) * model + at.h * p.head, *v = k + model;
  const T *of_state = state + at.b * g.edges * p.width;
  const float *w = weight + at.row;
  float *d = slope + at.row;
  const int first = g.first[at.i], last = g.first[at.i + 1];
  for (int j = lane(); j < g.nodes; j += 32)
    d[j] = dot(dout + at.out, v + std::size_t(j) * 3 * model, p.head);
  for (int t = first; t < last; ++t)
    if (const int j = g.other[t], end = g.end[t]; j % 32 == lane())
      d[j] += dot(dgathered + at.gathered + std::size_t(end % 2) * p.width, of_state + std::size_t(end / 2) * p.width,
                  p.width);
  float through = 0;
  for (int j = lane(); j < g.nodes; j += 32)
    through = fmaf(w[j], d[j], through);
  through = warp_reduce<Sum>(through);
  for (int j = lane(); j < g.nodes; j += 32)
    d[j] = w[j] * (d[j] - through);
  __syncwarp();
  for (int t = first + lane(); t < last; t += 32)
    dbias[(at.b * g.edges * 2 + std::size_t(g.end[t])) * p.heads + at.h] = rounded<T>(d[g.other[t]]);
  const float scale = 1 / sqrtf(float(p.head));
  for (int c = lane(); c < p.head; c += 32) {
    float of = 0;
    for (int j = 0; j < g.nodes; ++j)
      of += d[j] * to_float(k[std::size_t(j) * 3 * model + c]);
    dqkv[at.qkv + c] = rounded<T>(scale * of);
  }
}

// What these queries give keys and values; what those before them gave stands in `sums`, where there are several.
template <class T>
__global__ void __launch_bounds__(threads) keys_kernel(T *dqkv, float *sums, const T *dout, const float *weight,
                                                       const float *slope, const T *qkv, Queries of, EdgeAttention p) {
  const std::size_t item = std::size_t(blockIdx.x) * warps + threadIdx.x / 32;
  const int nodes = p.graph.nodes, model = p.heads * p.head;
  if (item >= p.pairs() * nodes)
    return;
  const Node at(item, p, {0, nodes});
  const std::size_t column = item / nodes * of.count * nodes + at.i; // of the head's weights
  const T *q = qkv + (at.b * nodes + of.first) * 3 * model + at.h * p.head;
  const T *d = dout + (at.b * nodes + of.first) * model + at.h * p.head;
  const float scale = 1 / sqrtf(float(p.head));
  for (int c = lane(); c < p.head; c += 32) {
    float *key = sums ? sums + (at.b * nodes + at.i) * 2 * model + at.h * p.head + c : nullptr;
    float of_key = of.first > 0 ? key[0] : 0, of_value = of.first > 0 ? key[model] : 0;
    for (int i = 0; i < of.count; ++i) {
      of_key += slope[column + std::size_t(i) * nodes] * to_float(q[std::size_t(i) * 3 * model + c]);
      of_value += weight[column + std::size_t(i) * nodes] * to_float(d[std::size_t(i) * model + c]);
    }
    if (of.first + of.count < nodes) {
      key[0] = of_key, key[model] = of_value;
      continue;
    }
    dqkv[at.qkv + model + c] = rounded<T>(scale * of_key);
    dqkv[at.qkv + 2 * model + c] = rounded<T>(of_value);
  }
}

template <class T>
__global__ void __launch_bounds__(threads)
    states_kernel(T *dstate, const T *dgathered, const float *weight, Queries queries, EdgeAttention p) {
  const std::size_t item = std::size_t(blockIdx.x) * warps + threadIdx.x / 32;
  const GraphEdges &g = p.graph;
  if (item >= std::size_t(p.batch) * g.edges)
    return;
  const std::size_t b = item / g.edges, e = item % g.edges, nodes = g.nodes;
  const int target = g.target[e], source = g.source[e], as_target = target - queries.first,
            as_source = source - queries.first;
  const bool of_target = as_target >= 0 && as_target < queries.count,
             of_source = as_source >= 0 && as_source < queries.count;
  if (!of_target && !of_source)
    return;
  for (int c = lane(); c < p.width; c += 32) {
    float of = 0;
    for (int h = 0; h < p.heads; ++h) {
      const float *w = weight + (b * p.heads + h) * queries.count * nodes;
      const T *d = dgathered + (b * nodes * p.heads + h) * 2 * p.width + c;
      if (of_target)
        of += w[as_target * nodes + source] * to_float(d[std::size_t(target) * p.heads * 2 * p.width]);
      if (of_source)
        of += w[as_source * nodes + target] * to_float(d[(std::size_t(source) * p.heads * 2 + 1) * p.width]);
    }
    T &to = dstate[item * p.width + c];
    to = rounded<T>(to_float(to) + of);
  }
}

template <class T>
void weigh(Stream &s, float *weight, const T *qkv, const T *bias, const Queries &of, const EdgeAttention &p) {
  launch(weigh_kernel<T>, blocks_for(p.pairs() * of.count, warps), threads, 0, s, weight, qkv, bias, of, p);
}

template <class T>
void attend(Stream &s, T *out, T *gathered, float *weight, const T *qkv, const T *bias, const T *state,
            const EdgeAttention &p) {
  for_queries(p, [&](const Queries &of) {
    weigh(s, weight, qkv, bias, of, p);
    launch(attend_kernel<T>, blocks_for(p.pairs() * of.count, warps), threads, 0, s, out, gathered, weight, qkv, state,
           of, p);
  });
}

template <class T>
void attend_backward(Stream &s, T *dqkv, T *dbias, T *dstate, const T *dout, const T *dgathered, float *weight,
                     const T *qkv, const T *bias, const T *state, float *slope, float *keys, const EdgeAttention &p) {
  for_queries(p, [&](const Queries &of) {
    if (!p.at_once())
      weigh(s, weight, qkv, bias, of, p);
    launch(queries_kernel<T>, blocks_for(p.pairs() * of.count, warps), threads, 0, s, dqkv, dbias, slope, dout,
           dgathered, weight, qkv, state, of, p);
    launch(keys_kernel<T>, blocks_for(p.pairs() * p.graph.nodes, warps), threads, 0, s, dqkv,
           p.at_once() ? nullptr : keys, dout, weight, slope, qkv, of, p);
    if (p.graph.edges > 0)
      launch(states_kernel<T>, blocks_for(std::size_t(p.batch) * p.graph.edges, warps), threads, 0, s, dstate,
             dgathered, weight, of, p);
  });
}

template <class T> void hear(Stream &s, T *y, const T *x, const T *of_node, int batch, int width, const GraphEdges &g) {
  each(s, std::size_t(batch) * g.edges * width, [=] __device__(std::size_t i) {
    const std::size_t c = i % width, e = i / width % g.edges, b = i / width / g.edges;
    const T *node = of_node + b * g.nodes * 2 * width + c;
    y[i] = rounded<T>(to_float(x[i]) + to_float(node[std::size_t(g.target[e]) * 2 * width]) +
                      to_float(node[(std::size_t(g.source[e]) * 2 + 1) * width]));
  });
}

template <class T> void hear_backward(Stream &s, T *d_of_node, const T *dy, int batch, int width, const GraphEdges &g) {
  each(s, std::size_t(batch) * g.nodes * 2 * width, [=] __device__(std::size_t i) {
    const std::size_t c = i % width, node = i / width / 2 % g.nodes, b = i / width / 2 / g.nodes;
    const int side = int(i / width % 2);
    float sum = 0;
    for (int t = g.first[node]; t < g.first[node + 1]; ++t)
      if (g.end[t] % 2 == side)
        sum += to_float(dy[(b * g.edges + g.end[t] / 2) * width + c]);
    d_of_node[i] = rounded<T>(sum);
  });
}

} // namespace

#define THETA_DEFINE(T)                                                                                                \
  void edge_attention_forward(Stream &s, T *out, T *gathered, float *weight, const T *qkv, const T *bias,              \
                              const T *state, const EdgeAttention &p) {                                                \
    attend(s, out, gathered, weight, qkv, bias, state, p);                                                             \
  }                                                                                                                    \
  void edge_attention_backward_accumulate(Stream &s, T *dqkv, T *dbias, T *dstate, const T *dout, const T *dgathered,  \
                                          float *weight, const T *qkv, const T *bias, const T *state, float *slope,    \
                                          float *keys, const EdgeAttention &p) {                                       \
    attend_backward(s, dqkv, dbias, dstate, dout, dgathered, weight, qkv, bias, state, slope, keys, p);                \
  }                                                                                                                    \
  void add_ends(Stream &s, T *y, const T *x, const T *of_node, int batch, int width, const GraphEdges &g) {            \
    hear(s, y, x, of_node, batch, width, g);                                                                           \
  }                                                                                                                    \
  void add_ends_backward(Stream &s, T *d_of_node, const T *dy, int batch, int width, const GraphEdges &g) {            \
    hear_backward(s, d_of_node, dy, batch, width, g);                                                                  \
  }
THETA_DEFINE(float)
THETA_DEFINE(bf16)

} // namespace theta::cuda
