// Residual networks, vision transformers and ConvNeXt: PyTorch's numbers, names, symmetries.
#include "engine/networks/convnext.h"
#include "engine/networks/gpt.h"
#include "engine/networks/kind.h"
#include "engine/networks/resnet.h"
#include "engine/networks/vit.h"
#include "engine/weights/graph.h"
#include "engine/weights/matching.h"
#include "kernels/operations/softmax_cross_entropy.h"
#include "program_run.h"

using namespace theta;
using namespace theta::test;

namespace {

template <class S> NetworkShape shape_of(const char *kind, std::vector<int> widths, Activation act, S own) {
  NetworkShape shape{std::move(widths), act, Initialisation::pytorch, network_kind_named(kind)};
  shape.own = std::move(own);
  return shape;
}

NetworkShape small_resnet() {
  return shape_of("resnet", {4, 6, 8, 10, 10}, Activation::relu, ResNetSettings{16, 3, 18, "small"});
}
NetworkShape small_vit() { return shape_of("vit", {12, 48, 10}, Activation::gelu, VitSettings{16, 3, 4, 2, 3}); }
NetworkShape small_convnext() {
  return shape_of("convnext", {4, 6, 3}, Activation::gelu, ConvNextSettings{16, 2, 2, {1, 2}, 3});
}

// A network of the golden file: its weights, its state where the file has it.
template <class T> std::vector<T> weights_of(const Golden &golden, const Layout &layout) {
  std::vector<T> theta(layout.size());
  for (std::size_t i = 0; i < layout.places().size(); ++i) {
    const TensorPlace &place = layout.places()[i];
    const auto first = theta.begin() + std::ptrdiff_t(place.offset);
    if (place.offset < layout.trained()) {
      const auto values = golden.get<T>("param." + place.name);
      REQUIRE(values.size() == elements_of(place));
      std::copy(values.begin(), values.end(), first);
    } else
      std::fill_n(first, elements_of(place), T(layout.constant(i)));
  }
  return theta;
}

template <class T> std::vector<T> part_of(const std::vector<T> &theta, const TensorPlace &place) {
  const auto first = theta.begin() + std::ptrdiff_t(place.offset);
  return {first, first + std::ptrdiff_t(elements_of(place))};
}

// On cuda attention multiplies in bf16 (test_attention.cpp).
constexpr double of_attention = 4 * 0x1p-8;

// Output, loss, every gradient, and the state that a step leaves, beside PyTorch's.
void check_training(const char *file, const NetworkShape &shape, bool attends) {
  const Golden golden(file);
  in_every_precision([&]<class T>(T, Stream &s) {
    const int rows = golden.side("x", 0);
    const bool rounds = attends && s.is_cuda(); // else gradients are ten times as far, through as many layers
    const double near = rounds ? of_attention : golden_tolerance<T>,
                 near_gradient = rounds ? of_attention : 10 * golden_tolerance<T>;
    ProgramRun<T> run(s, shape.kind->program(shape), true, 1, rows);
    const Layout &layout = run.program.layout();
    const Buffer<T> theta(s, weights_of<T>(golden, layout)), x(s, golden.get<T>("x")),
        gradient(s, std::vector<T>(layout.size())), row_loss(s, std::size_t(rows));
    const Buffer<std::uint8_t> label(s, golden.labels("label"));
    run.program.move_state_of(theta);
    T *logits = run.program.forward(s, theta, x);
    CHECK(relative_error(to_host(s, logits, std::size_t(rows) * 10), golden.get<T>("output")) <= near);
    softmax_cross_entropy<T>(s, row_loss, logits, logits, label, {rows, 10, rows, 0, 1.0 / rows});
    double loss = 0;
    for (const T one : row_loss.host())
      loss += double(one) / rows;
    CHECK(loss == doctest::Approx(double(golden.get<T>("loss")[0])).epsilon(near));
    run.program.backward(s, theta, gradient, logits, x);
    const auto found = gradient.host(), after = theta.host();
    for (const auto &place : layout.places()) {
      CAPTURE(place.name);
      if (place.offset < layout.trained())
        CHECK(relative_error(part_of(found, place), golden.get<T>("grad." + place.name)) <= near_gradient);
      else
        CHECK(relative_error(part_of(after, place), golden.get<T>("buffer_after." + place.name)) <=
              golden_tolerance<T>);
    }
  });
}

NetworkShape small_gpt(int context) {
  return shape_of("gpt", {12, 48, 17}, Activation::gelu, GptSettings{context, 2, 3, true});
}

// Exchanging units of any group leaves the function.
void check_symmetries(const NetworkShape &shape, std::size_t groups_expected) {
  const Layout layout = layout_of(shape);
  const Symmetries groups = shape.kind->symmetries(shape);
  CHECK(groups.size() == groups_expected);
  const auto theta = as_state(some_weights(layout, 1), layout);
  const auto shown = [&](const std::vector<float> &of) {
    Stream s{Device{}};
    Program p = shape.kind->program(shape);
    const std::size_t inputs = p.elements({0}), outputs = p.elements(p.result());
    ProgramRun<double> run(s, std::move(p), false, 1, 2);
    const Buffer<double> weights(s, std::vector<double>(of.begin(), of.end())),
        x(s, random_values<double>(2 * inputs, 9));
    return to_host(s, run.program.infer(s, weights, x, 1, 2), 2 * outputs);
  };
  const auto before = shown(theta);
  for (std::size_t g = 0; g < groups.size(); ++g) {
    CAPTURE(g);
    const auto moved = rotated(theta, layout, groups[g]);
    CHECK(moved != theta);
    CHECK(relative_error(shown(moved), before) <= 1e-10);
  }
}

std::vector<TensorShape> tensors_of(const NetworkShape &shape, const std::string &before = "") {
  std::vector<TensorShape> tensors;
  const Layout layout = layout_of(shape);
  for (const TensorPlace &place : layout.places())
    tensors.insert(tensors.begin(), {before + place.name, place.shape});
  return tensors;
}

} // namespace

TEST_CASE("backbones: a residual network trains as PyTorch's does, running statistics included") {
  check_training("net_resnet18", small_resnet(), false);
}

TEST_CASE("backbones: a vision transformer trains as PyTorch's does") { check_training("net_vit", small_vit(), true); }

TEST_CASE("backbones: a residual network infers by its running statistics as PyTorch's does, from names alone") {
  const Golden golden("net_resnet18_eval");
  const NetworkShape shape = small_resnet();
  in_every_precision([&]<class T>(T, Stream &s) {
    const int rows = golden.side("x", 0);
    ProgramRun<T> run(s, shape.kind->program(shape), false, 1, rows);
    const Layout &layout = run.program.layout();
    std::vector<T> theta(layout.size());
    for (const auto &place : layout.places()) {
      const auto values = golden.get<T>((place.offset < layout.trained() ? "param." : "buffer.") + place.name);
      std::copy(values.begin(), values.end(), theta.begin() + std::ptrdiff_t(place.offset));
    }
    const Buffer<T> weights(s, theta), x(s, golden.get<T>("x"));
    CHECK(relative_error(to_host(s, run.program.infer(s, weights, x, 1, rows), std::size_t(rows) * 10),
                         golden.get<T>("output")) <= golden_tolerance<T>);
  });
}

TEST_CASE("backbones: gradients of ConvNeXt agree with central differences in double") {
  const NetworkShape shape = small_convnext();
  check_program(shape.kind->program(shape), 2, 2);
}

TEST_CASE("backbones: every kind is the same on every device, training and inference") {
  const std::vector<NetworkShape> all = {small_resnet(), small_vit(), small_convnext()};
  for (const NetworkShape &shape : all) {
    CAPTURE(shape.kind->name());
    const bool attends = shape.kind == network_kind_named("vit");
    same_on_every_device(attends ? of_attention : 1e-4, [&](Stream &s) {
      const int networks = 2, rows = 3;
      ProgramRun<float> training(s, shape.kind->program(shape), true, networks, rows),
          inference(s, shape.kind->program(shape), false, networks, rows);
      const Layout &of = training.program.layout();
      const std::size_t inputs = std::size_t(inputs_of(shape)), out = std::size_t(networks * rows * outputs_of(shape));
      const Buffer<float> theta(s, as_state(some_weights(of, networks), of)),
          x(s, random_values<float>(std::size_t(networks * rows) * inputs, 1)),
          gradient(s, std::vector<float>(theta.size())), d_out(s, random_values<float>(out, 2));
      training.program.move_state_of(theta);
      const auto trained = to_host(s, training.program.forward(s, theta, x), out);
      training.program.backward(s, theta, gradient, d_out, x);
      return Results{trained, gradient.host(), to_host(s, inference.program.infer(s, theta, x, networks, rows), out)};
    });
  }
}

TEST_CASE("backbones: units that may change places are those of streams, blocks, heads and hidden layers") {
  check_symmetries(small_resnet(), 4 + 8);   // a stream a stage, and within each block
  check_symmetries(small_vit(), 1 + 2 * 2);  // the stream; heads and hidden units of each block
  check_symmetries(small_convnext(), 2 + 3); // a stream a stage, hidden units of each block
  const NetworkShape deep =
      shape_of("resnet", {3, 4, 3, 5, 5}, Activation::relu, ResNetSettings{32, 1, 50, "imagenet"});
  check_symmetries(deep, 1 + 4 + 2 * 16); // the stem's channels are no stage's
}

TEST_CASE("backbones: sizes are those of the published networks") {
  const auto weights = [](const NetworkShape &shape) { return layout_of(shape).trained(); };
  const auto resnet = [](int depth, std::vector<int> widths, int side, const char *stem) {
    return shape_of("resnet", std::move(widths), Activation::relu, ResNetSettings{side, 3, depth, stem});
  };
  CHECK(weights(resnet(18, {64, 128, 256, 512, 10}, 32, "small")) == 11173962);
  CHECK(weights(resnet(18, {64, 128, 256, 512, 1000}, 224, "imagenet")) == 11689512);
  CHECK(weights(resnet(34, {64, 128, 256, 512, 1000}, 224, "imagenet")) == 21797672);
  CHECK(weights(resnet(50, {64, 128, 256, 512, 1000}, 224, "imagenet")) == 25557032);
  CHECK(weights(resnet(20, {16, 32, 64, 10}, 32, "small")) == 272474);
  CHECK(weights(shape_of("vit", {192, 768, 1000}, Activation::gelu, VitSettings{224, 3, 16, 12, 3})) == 5717416);
  CHECK(weights(shape_of("convnext", {96, 192, 384, 768, 1000}, Activation::gelu, ConvNextSettings{224, 3})) ==
        28589128);
}

TEST_CASE("backbones: published names tell what a network is, in any order and behind any prefix") {
  const std::vector<NetworkShape> all = {
      small_resnet(), shape_of("resnet", {2, 3, 4, 5, 7}, Activation::relu, ResNetSettings{224, 3, 50, "imagenet"}),
      shape_of("resnet", {4, 5, 6, 10}, Activation::relu, ResNetSettings{32, 1, 20, "small"}),
      shape_of("vit", {128, 96, 10}, Activation::gelu, VitSettings{28, 1, 7, 3, 2}), small_convnext()};
  for (const NetworkShape &shape : all)
    for (const std::string before : {"", "module."}) {
      std::string why;
      const auto found = recognised(tensors_of(shape, before), why);
      CAPTURE(why);
      REQUIRE(found);
      CHECK(found->knows_activation);
      NetworkShape expected = shape;
      if (auto *own = std::any_cast<ResNetSettings>(&expected.own)) // what no tensor tells
        own->side = own->stem == "small" ? 32 : 224;
      if (auto *own = std::any_cast<ConvNextSettings>(&expected.own))
        own->side = 32;
      CHECK(architecture_of(found->shape) == architecture_of(expected));
      CHECK(architecture_of(*network_from(architecture_of(expected), "here")) == architecture_of(expected));
      for (std::size_t i = 0; i < found->order.size(); ++i)
        CHECK(found->order[i] == found->order.size() - 1 - i);
    }
  std::string why;
  CHECK_FALSE(recognised(tensors_of(small_vit()), why));
  CHECK(why.find("how many heads") != std::string::npos);
}

TEST_CASE("backbones: what cannot be is refused") {
  const auto refused = [](NetworkShape shape) { CHECK_THROWS_AS(layout_of(shape), InputError); };
  refused(shape_of("resnet", {4, 6, 8, 10, 10}, Activation::relu, ResNetSettings{16, 3, 20, "small"}));
  refused(shape_of("resnet", {4}, Activation::relu, ResNetSettings{16, 3, 18, "small"}));
  refused(shape_of("vit", {12, 48, 10}, Activation::gelu, VitSettings{16, 3, 5, 2, 3}));
  refused(shape_of("vit", {12, 48, 10}, Activation::gelu, VitSettings{16, 3, 4, 2, 5}));
  refused(shape_of("vit", {12, 10}, Activation::gelu, VitSettings{16, 3, 4, 2, 3}));
  refused(shape_of("convnext", {4, 6, 3}, Activation::gelu, ConvNextSettings{16, 2, 2, {1, 2}, 4}));
  refused(shape_of("convnext", {4, 3}, Activation::gelu, ConvNextSettings{16, 2, 2, {1, 2}, 3}));
}

TEST_CASE("backbones: a language model of causal attention, with one matrix for both ends, agrees with PyTorch") {
  const Golden golden("net_gpt");
  const int rows = golden.side("tokens", 0), places = golden.side("tokens", 1), tokens = places - 1;
  const auto all = golden.labels("tokens");
  const NetworkShape shape = small_gpt(places); // the last character is seen, and its scores are nobody's
  in_every_precision([&]<class T>(T, Stream &s) {
    const std::vector<T> seen(all.begin(), all.end());
    std::vector<std::uint8_t> next;
    for (int r = 0; r < rows; ++r)
      for (int t = 0; t < places; ++t)
        next.push_back(all[std::size_t(r * places + std::min(t + 1, tokens))]);
    const double near = s.is_cuda() ? of_attention : golden_tolerance<T>,
                 near_gradient = s.is_cuda() ? of_attention : 10 * golden_tolerance<T>;
    ProgramRun<T> run(s, shape.kind->program(shape), true, 1, rows);
    const Layout &layout = run.program.layout();
    const int n = rows * places;
    const Buffer<T> theta(s, weights_of<T>(golden, layout)), x(s, seen), gradient(s, std::vector<T>(layout.size())),
        row_loss(s, std::size_t(n));
    const Buffer<std::uint8_t> label(s, next);
    T *scores = run.program.forward(s, theta, x);
    // What is of the last character goes.
    const auto counted = [&](const std::vector<T> &of, std::size_t each) {
      std::vector<T> kept;
      for (std::size_t r = 0; r < std::size_t(rows); ++r)
        kept.insert(kept.end(), of.begin() + std::ptrdiff_t(r * std::size_t(places) * each),
                    of.begin() + std::ptrdiff_t((r * std::size_t(places) + std::size_t(tokens)) * each));
      return kept;
    };
    CHECK(relative_error(counted(to_host(s, scores, std::size_t(n) * 17), 17), golden.get<T>("output")) <= near);
    softmax_cross_entropy<T>(s, row_loss, scores, scores, label, {n, 17, n, 0, 1.0 / (rows * tokens)});
    double loss = 0;
    for (const T one : counted(row_loss.host(), 1))
      loss += double(one) / (rows * tokens);
    CHECK(loss == doctest::Approx(double(golden.get<T>("loss")[0])).epsilon(near));
    for (std::size_t r = 0; r < std::size_t(rows); ++r)
      fill_zero(s, scores + (r * std::size_t(places) + std::size_t(tokens)) * 17, 17 * sizeof(T));
    run.program.backward(s, theta, gradient, scores, x);
    const auto found = gradient.host();
    for (const auto &place : layout.places()) {
      CAPTURE(place.name);
      CHECK(relative_error(part_of(found, place), golden.get<T>("grad." + place.name)) <= near_gradient);
    }
  });
}

TEST_CASE("backbones: language models keep their function when units are exchanged, and are known by their names") {
  for (const auto &[tied, rotary] : {std::pair{true, false}, {false, false}, {true, true}}) {
    CAPTURE(tied);
    CAPTURE(rotary);
    const NetworkShape shape = shape_of("gpt", {12, 20, 17}, Activation::gelu, GptSettings{7, 2, 3, tied, rotary});
    check_symmetries(shape, 1 + 2 * 2); // the stream; of each block the heads and the hidden units
    check_program(shape.kind->program(shape), 2, 2);
    // Looking up is a layer: the stream is next to the inputs, and every number that a graph tells of it is finite.
    const Symmetries groups = shape.kind->symmetries(shape);
    CHECK((groups[0].inputs == 0 && groups[1].inputs == 1));
    const WeightGraph graph(shape, graph_slots({shape}));
    for (const auto *features : {&graph.features_of_nodes(), &graph.features_of_edges()})
      for (const float each : *features)
        CHECK(std::isfinite(each));
    CHECK(architecture_of(*network_from(architecture_of(shape), "here")) == architecture_of(shape));
    // Within its three heads a block's queries and keys may be exchanged, and its values; turned ones stay in their order.
    CHECK(unit_elements(shape).size() == groups.size() + 2 * 3 * (rotary ? 1 : 2));
    if (rotary) {
      CHECK(layout_of(shape).size() + 7 * 12 ==
            layout_of(shape_of("gpt", {12, 20, 17}, Activation::gelu, GptSettings{7, 2, 3, true})).size());
      continue; // no tensor tells how many characters they look at
    }
    NetworkShape wide = shape;
    wide.widths[0] = 128, wide.as<GptSettings>().heads = 2;
    std::string why;
    const auto found = recognised(tensors_of(wide, "model."), why);
    REQUIRE(found.has_value());
    CHECK(architecture_of(found->shape) == architecture_of(wide));
  }
  CHECK_THROWS_AS(layout_of(shape_of("gpt", {12, 17}, Activation::gelu, GptSettings{})), InputError);
  CHECK_THROWS_AS(layout_of(shape_of("gpt", {12, 20, 300}, Activation::gelu, GptSettings{})), InputError);
  CHECK_THROWS_AS(layout_of(shape_of("gpt", {12, 20, 17}, Activation::gelu, GptSettings{7, 2, 5, true})), InputError);
  CHECK_THROWS_WITH_AS(layout_of(shape_of("gpt", {12, 20, 17}, Activation::gelu, GptSettings{7, 2, 4, true, true})),
                       doctest::Contains("of an even width"), InputError);
}

TEST_CASE("backbones: within a head, queries with keys and values with what comes of them may be exchanged") {
  const NetworkShape shape = small_vit();
  const Layout layout = layout_of(shape);
  const auto groups = unit_elements(shape);
  const std::size_t outer = shape.kind->symmetries(shape).size();
  REQUIRE(groups.size() == outer + 2 * 2 * 3); // two blocks of three heads
  Stream s{Device{}};
  const std::size_t inputs = 3 * 16 * 16, outputs = 10, rows = 2;
  ProgramRun<double> run(s, shape.kind->program(shape), false, 1, int(rows));
  const Buffer<double> x(s, random_values<double>(rows * inputs, 1));
  const auto outputs_of = [&](const std::vector<float> &theta) {
    const Buffer<double> weights(s, std::vector<double>(theta.begin(), theta.end()));
    return to_host(s, run.program.infer(s, weights, x, 1, int(rows)), rows * outputs);
  };
  const auto theta = some_weights(layout, 1);
  const auto before = outputs_of(theta);
  const auto drawn = [&](std::size_t units, std::uint32_t stream) {
    std::vector<int> order;
    for (std::uint32_t u = 0; u < units; ++u)
      order.push_back(int(shuffled(11, Purpose::test, stream, u, std::uint32_t(units))));
    return order;
  };
  for (std::size_t g = outer; g < groups.size(); ++g) {
    CAPTURE(g);
    auto moved = theta;
    permute(moved.data(), groups[g], {1, 2, 3, 0});
    CHECK(moved != theta);
    CHECK(relative_error(outputs_of(moved), before) <= 1e-10);
  }
  // Everything at once is found again, and the orders say what was done, one group after another.
  const UnitMatcher matcher(shape, 4);
  int found = 0;
  for (std::uint32_t plant = 0; plant < 20; ++plant) {
    const auto start = layout.initial_values(plant, 0);
    auto mixed = start;
    for (std::size_t g = 0; g < groups.size(); ++g)
      permute(mixed.data(), groups[g], drawn(groups[g].units, plant * 100 + std::uint32_t(g)));
    auto matched = mixed, replayed = mixed;
    const UnitOrders orders = matcher.match(matched.data(), start.data());
    for (std::size_t g = 0; g < groups.size(); ++g)
      permute(replayed.data(), groups[g], orders[g]);
    CHECK(replayed == matched);
    found += matched == start;
  }
  CHECK(found >= 19);
}

TEST_CASE("backbones: planted permutations of residual networks are found by weight matching") {
  const NetworkShape shape = small_resnet();
  const auto groups = unit_elements(shape);
  const UnitMatcher matcher(shape);
  int moved = 0, found = 0;
  for (std::uint32_t plant = 0; plant < 100; ++plant) {
    const auto theta = layout_of(shape).initial_values(plant, 0);
    auto mixed = theta;
    for (std::size_t g = 0; g < groups.size(); ++g) {
      std::vector<int> order;
      for (std::uint32_t u = 0; u < groups[g].units; ++u)
        order.push_back(int(shuffled(plant, Purpose::test, std::uint32_t(g), u, std::uint32_t(groups[g].units))));
      permute(mixed.data(), groups[g], order);
    }
    moved += mixed != theta;
    matcher.match(mixed.data(), theta.data());
    found += mixed == theta;
  }
  CHECK(moved == 100);
  CHECK(found == 100);
}
