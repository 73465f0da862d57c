#include "kernels/operations/convert.h"
#include "kernels/operations/edges.h"
#include "tests/check.h"

using namespace theta;
using namespace theta::test;

namespace {

// A graph's index, as GraphEdges wants it, in one vector.
struct Index {
  int nodes;
  std::vector<std::int32_t> target, source, all;
  // Edges may lead from a node to itself, and twice between two.
  Index(int nodes_, std::vector<std::int32_t> targets, std::vector<std::int32_t> sources)
      : nodes(nodes_), target(std::move(targets)), source(std::move(sources)), all(target) {
    all.insert(all.end(), source.begin(), source.end());
    std::vector<std::int32_t> first{0}, other, end;
    for (int i = 0; i < nodes; ++i) {
      for (std::size_t e = 0; e < target.size(); ++e) {
        if (target[e] == i)
          other.push_back(source[e]), end.push_back(std::int32_t(2 * e));
        if (source[e] == i)
          other.push_back(target[e]), end.push_back(std::int32_t(2 * e + 1));
      }
      first.push_back(std::int32_t(other.size()));
    }
    for (const auto *part : {&first, &other, &end})
      all.insert(all.end(), part->begin(), part->end());
  }
  GraphEdges at(const std::int32_t *there) const {
    const std::size_t e = target.size();
    return {nodes,
            int(e),
            there,
            there + e,
            there + 2 * e,
            there + 2 * e + std::size_t(nodes) + 1,
            there + 4 * e + std::size_t(nodes) + 1};
  }
};

const Index chain{6, {3, 3, 3, 4, 4, 4}, {0, 1, 2, 0, 1, 2}}; // two layers, and a node without edges
const Index stream{5, {0, 0, 1, 1, 3, 4, 0, 1}, {0, 1, 0, 1, 0, 1, 3, 4}};
const Index bare{3, {}, {}};

Index random_index(int nodes, int edges) {
  std::vector<std::int32_t> target, source;
  for (int e = 0; e < edges; ++e) {
    const auto bits = philox(7, Purpose::test, 1, std::uint64_t(e));
    target.push_back(std::int32_t(bits.word[0] % std::uint32_t(nodes)));
    source.push_back(std::int32_t(bits.word[1] % std::uint32_t(nodes)));
  }
  return {nodes, target, source};
}

template <class T> struct Values {
  std::vector<T> qkv, bias, state;
  Values(const EdgeAttention &p)
      : qkv(random_values<T>(std::size_t(3) * p.batch * p.graph.nodes * p.heads * p.head, 1)),
        bias(random_values<T>(std::size_t(2) * p.batch * p.graph.edges * p.heads, 2)),
        state(random_values<T>(std::size_t(p.batch) * p.graph.edges * p.width, 3)) {}
};

// By its definition.
struct Attended {
  std::vector<double> out, gathered;
  Attended(const Values<double> &v, const EdgeAttention &p, const Index &index) {
    const std::size_t n = std::size_t(index.nodes), heads = std::size_t(p.heads), head = std::size_t(p.head),
                      width = std::size_t(p.width), edges = index.target.size();
    out.assign(std::size_t(p.batch) * n * heads * head, 0),
        gathered.assign(std::size_t(p.batch) * n * heads * 2 * width, 0);
    for (std::size_t b = 0; b < std::size_t(p.batch); ++b)
      for (std::size_t h = 0; h < heads; ++h)
        for (std::size_t i = 0; i < n; ++i) {
          const auto at = [&](std::size_t node, std::size_t part, std::size_t c) {
            return v.qkv[(((b * n + node) * 3 + part) * heads + h) * head + c];
          };
          std::vector<double> weight(n, 0);
          double sum = 0;
          for (std::size_t j = 0; j < n; ++j) {
            for (std::size_t c = 0; c < head; ++c)
              weight[j] += at(i, 0, c) * at(j, 1, c) / std::sqrt(double(head));
            for (std::size_t e = 0; e < edges; ++e)
              for (std::size_t side = 0; side < 2; ++side)
                if (std::size_t(side ? index.source[e] : index.target[e]) == i &&
                    std::size_t(side ? index.target[e] : index.source[e]) == j)
                  weight[j] += v.bias[((b * edges + e) * 2 + side) * heads + h];
            weight[j] = std::exp(weight[j]), sum += weight[j];
          }
          for (std::size_t j = 0; j < n; ++j)
            for (std::size_t c = 0; c < head; ++c)
              out[((b * n + i) * heads + h) * head + c] += weight[j] / sum * at(j, 2, c);
          for (std::size_t e = 0; e < edges; ++e)
            for (std::size_t side = 0; side < 2; ++side)
              if (std::size_t(side ? index.source[e] : index.target[e]) == i)
                for (std::size_t c = 0; c < width; ++c)
                  gathered[(((b * n + i) * heads + h) * 2 + side) * width + c] +=
                      weight[std::size_t(side ? index.target[e] : index.source[e])] / sum *
                      v.state[(b * edges + e) * width + c];
        }
  }
};

template <class T> struct AlongEdges { std::vector<T> out, gathered, dqkv, dbias, dstate; };

// Forward and backward, dstate added to `before`.
template <class T>
AlongEdges<T> run(Stream &s, const Values<T> &v, const std::vector<T> &dout, const std::vector<T> &dgathered,
                  const std::vector<T> &before, EdgeAttention p, const Index &index) {
  const Buffer<std::int32_t> there(s, index.all);
  p.graph = index.at(there);
  const Wide<T> nothing = std::numeric_limits<Wide<T>>::quiet_NaN();
  const std::vector<Wide<T>> unwritten(p.weights(), nothing);
  const Buffer<T> qkv(s, v.qkv), bias(s, v.bias), state(s, v.state), d(s, dout), d_sums(s, dgathered),
      out(s, std::vector<T>(dout.size())), sums(s, std::vector<T>(dgathered.size())),
      dqkv(s, std::vector<T>(v.qkv.size())), dbias(s, std::vector<T>(v.bias.size())), dstate(s, before);
  const Buffer<Wide<T>> weight(s, unwritten), slope(s, unwritten),
      keys(s, std::vector<Wide<T>>(p.at_once() ? 0 : 2 * dout.size(), nothing));
  edge_attention_forward<T>(s, out, sums, weight, qkv, bias, state, p);
  edge_attention_backward_accumulate<T>(s, dqkv, dbias, dstate, d, d_sums, weight, qkv, bias, state, slope, keys, p);
  return {out.host(), sums.host(), dqkv.host(), dbias.host(), dstate.host()};
}

EdgeAttention sizes(int batch, int heads, int head, int width, const Index &index) {
  return {batch, heads, head, width, index.at(nullptr)};
}

} // namespace

TEST_CASE("attention along edges is its definition, and its gradient that of differences") {
  Stream cpu{Device{}};
  for (const Index *index : {&chain, &stream, &bare})
    for (const auto &[batch, heads, head, width] : {std::array{2, 3, 5, 4}, {1, 1, 1, 1}, {3, 2, 7, 19}}) {
      const EdgeAttention p = sizes(batch, heads, head, width, *index);
      Values<double> v(p);
      const Attended exact(v, p, *index);
      const auto dout = random_values<double>(exact.out.size(), 4),
                 d_sums = random_values<double>(exact.gathered.size(), 5);
      const auto before = random_values<double>(v.state.size(), 6);
      const auto f = run<double>(cpu, v, dout, d_sums, before, p, *index);
      CHECK(relative_error(f.out, exact.out) <= golden_tolerance<double>);
      CHECK(relative_error(f.gathered, exact.gathered) <= golden_tolerance<double>);
      const auto loss = [&] {
        const Attended at(v, p, *index);
        double sum = 0;
        for (std::size_t i = 0; i < dout.size(); ++i)
          sum += dout[i] * at.out[i];
        for (std::size_t i = 0; i < d_sums.size(); ++i)
          sum += d_sums[i] * at.gathered[i];
        return sum;
      };
      const auto check = [&](std::vector<double> &x, const std::vector<double> &gradient,
                             const std::vector<double> &from) {
        for (std::size_t i = 0; i < x.size(); i += 1 + x.size() / 40) {
          const double at = x[i], step = 1e-5;
          x[i] = at + step;
          const double above = loss();
          x[i] = at - step;
          const double below = loss();
          x[i] = at;
          CHECK(gradient[i] - (from.empty() ? 0 : from[i]) ==
                doctest::Approx((above - below) / (2 * step)).epsilon(1e-6).scale(1));
        }
      };
      check(v.qkv, f.dqkv, {}), check(v.bias, f.dbias, {}), check(v.state, f.dstate, before);
    }
}

TEST_CASE("attention along edges: every device and type, on odd sizes") {
  Stream cpu{Device{}};
  for (const auto &[nodes, edges, batch, heads, head, width] :
       {std::array{1, 2, 1, 1, 3, 1}, {17, 64, 3, 4, 24, 32}, {33, 200, 2, 3, 33, 35}, {70, 31, 1, 2, 8, 64}}) {
    const Index index = random_index(nodes, edges);
    const EdgeAttention p = sizes(batch, heads, head, width, index);
    const Values<double> exact_values(p);
    const std::size_t model = std::size_t(heads) * std::size_t(head), rows = std::size_t(batch) * std::size_t(nodes);
    const auto dout = random_values<double>(rows * model, 4),
               d_sums = random_values<double>(rows * std::size_t(2 * heads * width), 5),
               before = random_values<double>(exact_values.state.size(), 6);
    const auto exact = run<double>(cpu, exact_values, dout, d_sums, before, p, index);
    const auto as = [&]<class T>(T, Stream &s, double unit) {
      Values<T> v(p);
      v.qkv = narrowed<T>(exact_values.qkv), v.bias = narrowed<T>(exact_values.bias),
      v.state = narrowed<T>(exact_values.state);
      const auto f = run<T>(s, v, narrowed<T>(dout), narrowed<T>(d_sums), narrowed<T>(before), p, index);
      CHECK(norm_error(widened(f.out), exact.out) <= 2 * unit);
      CHECK(norm_error(widened(f.gathered), exact.gathered) <= 2 * unit);
      if (nodes > 1) { // else scores have no slope
        CHECK(norm_error(widened(f.dqkv), exact.dqkv) <= 6 * unit);
        CHECK(norm_error(widened(f.dbias), exact.dbias) <= 6 * unit);
      }
      CHECK(norm_error(widened(f.dstate), exact.dstate) <= 4 * unit);
    };
    for (const auto device : all_devices()) {
      CAPTURE(device.name());
      Stream s(device);
      as(float{}, s, 2e-6), as(bf16{}, s, 0x1p-8);
    }
  }
}

TEST_CASE("attention along edges: the numbers are the same however many queries go at a time") {
  in_every_precision([&]<class T>(T, Stream &s) {
    const Index index = random_index(13, 40);
    EdgeAttention p = sizes(2, 3, 5, 7, index);
    const Values<T> v(p);
    const std::size_t rows = std::size_t(p.batch) * 13;
    const auto dout = random_values<T>(rows * 15, 4), d_sums = random_values<T>(rows * 3 * 2 * 7, 5),
               before = random_values<T>(v.state.size(), 6);
    const auto all = run<T>(s, v, dout, d_sums, before, p, index);
    for (const int queries : {1, 4, 12}) {
      p.most_queries = queries;
      CHECK(p.weights() == std::size_t(2 * 3 * 13 * queries));
      const auto some = run<T>(s, v, dout, d_sums, before, p, index);
      CHECK(some.out == all.out);
      CHECK(some.gathered == all.gathered);
      CHECK(some.dqkv == all.dqkv);
      CHECK(some.dbias == all.dbias);
      // On cuda what the two ends of an edge give its state is rounded one by one.
      CHECK(norm_error(widened(some.dstate), widened(all.dstate)) <= (s.is_cuda() ? 1e-6 : 0));
    }
  });
}

TEST_CASE("attention along edges: a graph of a batch does not depend on those beside it") {
  for (const auto device : all_devices()) {
    Stream s(device);
    const EdgeAttention p = sizes(3, 2, 5, 7, chain), alone = sizes(1, 2, 5, 7, chain);
    const Values<float> v(p);
    Values<float> last(alone);
    const auto of_last = [](const std::vector<float> &x) {
      return std::vector<float>(x.end() - std::ptrdiff_t(x.size() / 3), x.end());
    };
    last.qkv = of_last(v.qkv), last.bias = of_last(v.bias), last.state = of_last(v.state);
    const auto dout = random_values<float>(3 * 6 * 10, 4), d_sums = random_values<float>(3 * 6 * 2 * 2 * 7, 5);
    const std::vector<float> before(v.state.size());
    const auto all = run<float>(s, v, dout, d_sums, before, p, chain),
               one = run<float>(s, last, of_last(dout), of_last(d_sums), of_last(before), alone, chain);
    CHECK(of_last(all.out) == one.out);
    CHECK(of_last(all.gathered) == one.gathered);
    CHECK(of_last(all.dqkv) == one.dqkv);
    CHECK(of_last(all.dbias) == one.dbias);
    CHECK(of_last(all.dstate) == one.dstate);
  }
}

TEST_CASE("edges hear of the nodes at their ends, and give back what they heard") {
  for (const Index *index : {&chain, &stream})
    in_every_precision([&]<class T>(T, Stream &s) {
      const int batch = 3, width = 5;
      const std::size_t edges = index->target.size(), nodes = std::size_t(index->nodes);
      const Buffer<std::int32_t> there(s, index->all);
      const auto x = random_values<T>(batch * edges * width, 1),
                 of_node = random_values<T>(batch * nodes * 2 * width, 2);
      const Buffer<T> at(s, x), from(s, of_node), back(s, of_node.size());
      add_ends<T>(s, at, at, from, batch, width, index->at(there));
      add_ends_backward<T>(s, back, from, batch, width, index->at(there)); // of the first edges' worth of those numbers
      std::vector<T> expected = x, sums(of_node.size(), T(0));
      for (std::size_t b = 0; b < batch; ++b)
        for (std::size_t e = 0; e < edges; ++e)
          for (std::size_t c = 0; c < width; ++c) {
            const std::size_t to = (b * edges + e) * width + c,
                              target = (b * nodes + std::size_t(index->target[e])) * 2 * width + c,
                              source = ((b * nodes + std::size_t(index->source[e])) * 2 + 1) * width + c;
            expected[to] = x[to] + of_node[target] + of_node[source];
            sums[target] += of_node[to], sums[source] += of_node[to];
          }
      CHECK(relative_error(at.host(), expected) <= golden_tolerance<T>);
      CHECK(relative_error(back.host(), sums) <= golden_tolerance<T>);
    });
}
