#include "bound.h"
#include "engine/generators/graph/graph_transformer.h"
#include "engine/networks/cnn.h"
#include "engine/networks/kind.h"
#include "engine/weights/symmetry.h"
#include <limits>
#include <set>

using namespace theta;
using namespace theta::test;

namespace theta {

namespace {

// A residual stream of D units: x = W0·input; x = x + W2·relu(W1·x + b1) + b2, `depth` times; logits = W3·x + b3.
class StreamKind : public NetworkKind {
public:
  const char *name() const override { return "test_stream"; }
  Layout layout(const NetworkShape &s) const override { // widths: inputs, stream, hidden ..., outputs
    const int stream = s.widths[1];
    Layout all;
    add_layer(all, "in", {stream, s.widths[0]}, s.widths[0], stream, true, s.initialisation);
    for (std::size_t l = 2; l + 1 < s.widths.size(); ++l) {
      add_layer(all, text("up", l), {s.widths[l], stream}, stream, s.widths[l], false, s.initialisation);
      add_layer(all, text("down", l), {stream, s.widths[l]}, s.widths[l], stream, false, s.initialisation);
    }
    add_layer(all, "out", {s.widths.back(), stream}, stream, s.widths.back(), false, s.initialisation);
    return all;
  }
  int inputs(const NetworkShape &s) const override { return s.widths.front(); }
  int outputs(const NetworkShape &s) const override { return s.widths.back(); }
  Symmetries symmetries(const NetworkShape &s) const override {
    using Role = UnitAxis::Role;
    UnitGroup stream{s.widths[1], {{Role::incoming, 0, 0}, {Role::bias, 1, 0}}};
    Symmetries all;
    std::size_t at = 2;
    for (std::size_t l = 2; l + 1 < s.widths.size(); ++l, at += 4) {
      all.push_back({s.widths[l], {{Role::incoming, at, 0}, {Role::bias, at + 1, 0}, {Role::outgoing, at + 2, 1}}});
      stream.axes.insert(stream.axes.end(),
                         {{Role::outgoing, at, 1}, {Role::incoming, at + 2, 0}, {Role::bias, at + 3, 0}});
    }
    stream.axes.push_back({Role::outgoing, at, 1});
    all.insert(all.begin(), std::move(stream));
    return all;
  }
  std::shared_ptr<const WholeRuns> whole_runs(const NetworkShape &, int) const override { return nullptr; }
};

const bool added = add_network_kind(std::make_unique<StreamKind>());

NetworkShape shape_of(std::vector<int> widths, const char *kind = "mlp") {
  NetworkShape shape;
  shape.widths = std::move(widths), shape.kind = network_kind_named(kind);
  return shape;
}

NetworkShape cnn_s() {
  NetworkShape shape = shape_of({20, 10}, "cnn");
  shape.own = CnnSettings{28, 1, {{8, 5, 2}, {6, 5, 2}, {4, 2, 1}}};
  return shape;
}

// Elements of a network in the order of its graph.
std::vector<double> elements(const WeightGraph &graph, const std::vector<float> &theta) {
  std::vector<double> x;
  for (const std::int32_t place : graph.place())
    x.push_back(place < 0 ? 0 : double(theta[std::size_t(place)]));
  return x;
}

template <class T> struct GraphModel {
  GraphTransformer<T> model;
  MemoryPlan plan{"test"};
  std::optional<Arena> arena;
  GraphModel(Stream &s, const GraphTransformerShape &shape, std::vector<WeightGraph> graphs,
             const std::vector<int> &networks, Mode mode = Mode::train)
      : model(shape, std::move(graphs)) {
    model.plan_for(plan, networks, mode);
    plan.place();
    arena.emplace(s.device(), plan);
    model.upload(s);
  }
  std::vector<T> run(Stream &s, const std::vector<T> &values, const std::vector<T> &x, const std::vector<T> &t,
                     const std::vector<T> &told = {0}, const std::vector<T> &from = {0}) {
    const Vectors<T> vectors(s, values, {T(0)});
    const Buffer<T> input(s, x), times(s, t), conditions(s, told), start(s, from);
    return to_host(s, model.forward(s, vectors.parameters(), input, {times, conditions, start}), x.size());
  }
};

// Random elements, 0 where there is padding.
template <class T>
std::vector<T> batch_of(const std::vector<WeightGraph> &graphs, const std::vector<int> &networks, int salt) {
  std::vector<T> x;
  for (std::size_t k = 0; k < graphs.size(); ++k)
    for (int i = 0; i < networks[k]; ++i)
      for (const std::int32_t place : graphs[k].place())
        x.push_back(place < 0 ? T(0) : random_values<T>(1, salt + int(x.size()))[0]);
  return x;
}

std::vector<WeightGraph> graphs_of(const std::vector<NetworkShape> &shapes, const GraphSlots &slots) {
  std::vector<WeightGraph> all;
  for (const auto &shape : shapes)
    all.emplace_back(shape, slots);
  return all;
}

GraphTransformerShape small_graph(const GraphSlots &slots) { return {slots, 12, 6, 2, 3, 8}; }

} // namespace

TEST_CASE("a network as a graph: every weight stands in one place, of kinds and depths") {
  auto field = shape_of({2, 6, 5, 4, 1}, "field");
  field.act = Activation::sine;
  for (const NetworkShape &shape : {shape_of({5, 3, 2}), shape_of({5, 3, 4, 2}), shape_of({7, 3, 4, 5, 6, 2}), field,
                                    cnn_s(), shape_of({5, 6, 3, 4, 2}, "test_stream")}) {
    CAPTURE(text(shape.kind->name(), shape.widths.size()));
    const WeightGraph graph(shape, graph_slots({shape}));
    const std::size_t v = layout_of(shape).size();
    std::vector<int> seen(v, 0);
    for (const std::int32_t place : graph.place())
      if (place >= 0)
        ++seen[std::size_t(place)];
    CHECK(seen == std::vector<int>(v, 1));
    int units = 1;
    for (const UnitGroup &group : shape.kind->symmetries(shape))
      units += group.units;
    CHECK(graph.nodes() == units);
  }
}

TEST_CASE("a network as a graph: nodes, edges and what hangs on them") {
  const NetworkShape shape = shape_of({5, 3, 4, 2});
  const GraphSlots slots = graph_slots({shape});
  const WeightGraph graph(shape, slots);
  CHECK(slots.node ==
        std::vector<GraphSlot>{{"incoming.0.5", 5, 0}, {"bias.0.1", 1, 5}, {"outgoing.0.2", 2, 6}, {"rest.0.2", 2, 8}});
  CHECK(slots.edge == std::vector<GraphSlot>{{"taps.1", 1, 0}});
  CHECK(graph.edges() == 12);
  // Layout: 15 weights and 3 biases, 12 and 4, 8 and 2.
  const auto at = [&](int node, int element) { return graph.place()[std::size_t(node) * 10 + std::size_t(element)]; };
  CHECK(at(1, 2) == 7);          // unit 1, input 2
  CHECK(at(1, 5) == 16);         // its bias
  CHECK(at(1, 6) == -1);         // and no weights to outputs
  CHECK(at(4, 5) == 31);         // the second layer's unit 1: its bias
  CHECK(at(4, 7) == 39);         // its weight to output 1: 34 + 1·4 + 1
  CHECK(at(7, 9) == 43);         // the outputs' biases
  CHECK(graph.target()[5] == 4); // weight [1, 2] of the second layer
  CHECK(graph.source()[5] == 2);
  CHECK(graph.place()[graph.node_elements() + 5] == 18 + 5);
  // Shared by others: the same names, whatever the widths; what has no place is refused.
  const NetworkShape wide = shape_of({5, 9, 2, 2}), thin = shape_of({5, 3, 2}), other = shape_of({6, 3, 2});
  CHECK(graph_slots({shape, wide, thin}) == slots);
  const auto names = [&](const NetworkShape &of) {
    std::set<std::string> all;
    const WeightGraph named(of, slots);
    for (const auto &place : named.places())
      all.insert(place.name);
    return all;
  };
  CHECK(names(shape) == names(wide));
  CHECK(names(shape) != names(thin));
  CHECK_THROWS_AS(WeightGraph(other, slots), InputError);
}

TEST_CASE("a network as a graph: a convolution's taps, and a residual stream's two ways") {
  const WeightGraph cnn(cnn_s(), graph_slots({cnn_s()}));
  CHECK(cnn.nodes() == 8 + 6 + 4 + 20 + 1);
  CHECK(cnn.edges() == 48 + 24 + 80);
  CHECK(graph_slots({cnn_s()}).edge_width() == 25 + 4 + 9);
  const NetworkShape shape = shape_of({5, 6, 3, 2}, "test_stream");
  const WeightGraph stream(shape, graph_slots({shape}));
  CHECK(stream.nodes() == 6 + 3 + 1);
  CHECK(stream.edges() == 2 * 18); // up and down
  CHECK(stream.source()[0] == 0);
  CHECK(stream.target()[0] == 6);
  CHECK(stream.source()[18] == 6);
  CHECK(stream.target()[18] == 0);
}

TEST_CASE("graph transformer agrees with PyTorch: output and every gradient, of two architectures in a batch") {
  const Golden golden("graph_transformer");
  const std::vector<NetworkShape> shapes{shape_of({5, 3, 4, 2}), shape_of({5, 3, 2})};
  const GraphSlots slots = graph_slots(shapes);
  auto shape = small_graph(slots);
  shape.conditions = {{"x", 0}};
  in_every_precision([&]<class T>(T, Stream &s) {
    GraphModel<T> m(s, shape, graphs_of(shapes, slots), {2, 1});
    const Vectors<T> vectors(s, flat<T>(golden, m.model.parameters(), "param."), {T(0)});
    const Buffer<T> x(s, golden.get<T>("x")), t(s, golden.get<T>("time")), told(s, golden.get<T>("told"));
    const auto y = to_host(s, m.model.forward(s, vectors.parameters(), x, {t, told}), x.size());
    const auto dy = golden.get<T>("dy");
    copy(s, m.model.d_out(), dy.data(), dy.size() * sizeof(T));
    m.model.backward(s, vectors.parameters());
    CHECK(relative_error(y, golden.get<T>("y")) <= golden_tolerance<T>);
    // In float, of sums that cancel, some parts are as large as their terms' rounding.
    check_tensors(vectors.gradient.host(), golden, m.model.parameters(), "grad.",
                  std::is_same_v<T, double> ? golden_tolerance<T> : 5e-5);
  });
}

TEST_CASE("graph transformer: gradients agree with central differences in double, whatever is told and kept") {
  Stream s{Device{}};
  const double nothing = std::numeric_limits<double>::quiet_NaN();
  const std::vector<NetworkShape> stream{shape_of({3, 4, 2, 2}, "test_stream")},
      mixed{shape_of({3, 2, 3, 2}), shape_of({3, 2, 2})}, bare{shape_of({3, 4, 2})};
  for (const auto &[shapes, networks] : {std::pair{stream, std::vector{3}}, {mixed, {1, 2}}, {bare, {3}}})
    for (const bool more : {false, true}) {
      const GraphSlots slots = graph_slots(shapes);
      const auto graphs = graphs_of(shapes, slots);
      auto shape = small_graph(slots);
      shape.recompute = shape.start = shape.fused = more;
      if (more)
        shape.conditions = {{"loss", 0}, {"kind", 3}};
      GraphModel<double> m(s, shape, graphs, networks);
      const auto values = random_values<double>(m.model.parameters().size(), 1, 0.3),
                 x = batch_of<double>(graphs, networks, 2), from = batch_of<double>(graphs, networks, 5000);
      auto d = random_values<double>(x.size(), 3);
      for (std::size_t i = 0; i < d.size(); ++i)
        d[i] = x[i] == 0 ? 0 : d[i];
      const std::vector<double> t{0.2, 0.5, 0.9}, told{0.3, nothing, 0.8, 2, 0, nothing};
      const Vectors<double> vectors(s, values, {0});
      const Buffer<double> input(s, x), times(s, t), conditions(s, told), start(s, from);
      const auto parameters = vectors.parameters(m.model.early());
      m.model.forward(s, parameters, input, {times, conditions, start});
      copy(s, m.model.d_out(), d.data(), d.size() * sizeof(double));
      m.model.backward(s, parameters);
      check_gradient(values, vectors.all_gradients(m.model.early()), [&](const std::vector<double> &v) {
        const auto y = m.run(s, v, x, t, told, from);
        double sum = 0;
        for (std::size_t i = 0; i < y.size(); ++i)
          sum += y[i] * d[i];
        return sum;
      });
    }
}

TEST_CASE("graph transformer: units in another order come out in that order") {
  Stream s{Device{}};
  for (const NetworkShape &shape : {shape_of({5, 4, 3, 6, 2}), shape_of({4, 5, 3, 4, 2}, "test_stream"), cnn_s()}) {
    const GraphSlots slots = graph_slots({shape});
    const WeightGraph graph(shape, slots);
    GraphModel<double> m(s, small_graph(slots), {graph}, {1});
    const auto values = random_values<double>(m.model.parameters().size(), 1, 0.3);
    auto theta = random_values<float>(layout_of(shape).size(), 2);
    const auto out_of = [&](const std::vector<float> &of) {
      const auto y = m.run(s, values, elements(graph, of), {0.3});
      std::vector<float> network(of.size());
      for (std::size_t e = 0; e < graph.size(); ++e)
        if (graph.place()[e] >= 0)
          network[std::size_t(graph.place()[e])] = float(y[e]);
      return network;
    };
    auto expected = out_of(theta);
    const auto groups = shape.kind->symmetries(shape);
    for (std::size_t g = 0; g < groups.size(); ++g) {
      std::vector<int> order;
      for (int u = 0; u < groups[g].units; ++u)
        order.push_back((u * (groups[g].units == 4 ? 3 : 2) + int(g) + 1) % groups[g].units);
      if (groups[g].units % 2 == 0 && groups[g].units != 4)
        for (int u = 0; u < groups[g].units; ++u)
          order[std::size_t(u)] = (u + 1) % groups[g].units;
      permute_units(theta.data(), shape, int(g), order), permute_units(expected.data(), shape, int(g), order);
    }
    // Sums over units run in another order: to the last bits of a double, and so of the floats that they are rounded
    // to.
    CHECK(relative_error(out_of(theta), expected) <= 2e-7);
    CHECK(relative_error(theta, expected) > 0.1);
  }
}

TEST_CASE("graph transformer: a network does not depend on those beside it, nor on other architectures in the batch") {
  for (const auto device : all_devices()) {
    CAPTURE(device.name());
    Stream s(device);
    const std::vector<NetworkShape> shapes{shape_of({5, 3, 4, 2}), shape_of({5, 3, 2}), shape_of({5, 7, 2, 2})};
    const GraphSlots slots = graph_slots(shapes);
    const auto graphs = graphs_of(shapes, slots);
    GraphModel<float> all(s, small_graph(slots), graphs, {2, 1, 2}, Mode::infer),
        alone(s, small_graph(slots), {graphs[2]}, {1}, Mode::infer);
    const auto values = random_values<float>(all.model.parameters().size(), 1, 0.3),
               x = batch_of<float>(graphs, {2, 1, 2}, 2);
    const auto y = all.run(s, values, x, {0.1f, 0.2f, 0.3f, 0.4f, 0.5f});
    const auto last = [&](const std::vector<float> &of) {
      return std::vector<float>(of.end() - std::ptrdiff_t(graphs[2].size()), of.end());
    };
    CHECK(relative_error(alone.run(s, values, last(x), {0.5f}), last(y)) <= 1e-5);
    for (std::size_t i = 0; i < graphs[0].size(); ++i)
      if (graphs[0].place()[i] < 0)
        CHECK(y[i] == 0.0f);
  }
}

TEST_CASE("graph transformer in bf16: near fp32, the same on every device; inference is the training's forward") {
  const std::vector<NetworkShape> shapes{shape_of({5, 3, 4, 2}), shape_of({5, 3, 2})};
  const GraphSlots slots = graph_slots(shapes);
  const auto graphs = graphs_of(shapes, slots);
  const auto x = batch_of<float>(graphs, {2, 1}, 2);
  auto shape = small_graph(slots);
  std::vector<std::vector<float>> results[2];
  std::size_t bytes[2];
  for (const bool narrow : {false, true}) {
    shape.arithmetic = narrow ? Arithmetic::bf16 : Arithmetic::fp32;
    for (const auto device : all_devices()) {
      CAPTURE(device.name());
      Stream s(device);
      GraphModel<float> m(s, shape, graphs, {2, 1}), infer(s, shape, graphs, {2, 1}, Mode::infer);
      const auto values = random_values<float>(m.model.parameters().size(), 1, 0.3);
      const std::vector<float> t{0.2f, 0.5f, 0.9f};
      const Vectors<float> vectors(s, values, {0});
      const Buffer<float> input(s, x), times(s, t);
      const auto y = to_host(s, m.model.forward(s, vectors.parameters(), input, {times}), x.size());
      CHECK(infer.run(s, values, x, t) == y);
      copy(s, m.model.d_out(), y.data(), y.size() * sizeof(float));
      m.model.backward(s, vectors.parameters());
      bytes[narrow] = m.plan.device_bytes();
      CHECK(infer.plan.device_bytes() < bytes[narrow]);
      if (results[narrow].empty())
        results[narrow] = {y, vectors.gradient.host()};
      CHECK(norm_error(y, results[narrow][0]) <= (narrow ? 0x1p-7 : 1e-5));
      CHECK(norm_error(vectors.gradient.host(), results[narrow][1]) <= (narrow ? 0x1p-5 : 5e-5));
    }
  }
  CHECK(norm_error(results[1][0], results[0][0]) <= 0x1p-5);
  CHECK(norm_error(results[1][0], results[0][0]) > 1e-5); // it is bf16
  CHECK(bytes[1] < bytes[0]);
}

} // namespace theta
