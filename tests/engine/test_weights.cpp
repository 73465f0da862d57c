// Tokenizers, symmetries and assignments: what leaves a network's function alone.
#include "data/dataset.h"
#include "engine/networks/cnn.h"
#include "engine/networks/kind.h"
#include "engine/weights/assignment.h"
#include "engine/weights/matching.h"
#include "engine/weights/symmetry.h"
#include "engine/weights/tokens.h"
#include "tests/check.h"
#include <cmath>
#include <numeric>

using namespace theta;
using namespace theta::test;

namespace {

// The network's outputs in double, as its definition says: a perceptron is a convolutional network of images of one
// pixel.
std::vector<double> outputs(const std::vector<float> &theta, const NetworkShape &shape, const std::vector<float> &x) {
  CnnTraining p{.channels = shape.widths[0], .side = 1, .layers = 0, .layer = {}, .batch = 1};
  if (shape.kind == network_kind_named("cnn"))
    p = cnn_training_of(shape, 1);
  else
    for (std::size_t l = 1; l < shape.widths.size(); ++l)
      p.layer[p.layers++] = {shape.widths[l], 1, 1};
  std::vector<double> h(x.begin(), x.end());
  const float *weight = theta.data();
  for (int l = 0; l < p.layers; ++l) {
    const int in = p.in_channels(l), side = p.in_side(l), kernel = p.layer[l].kernel, pool = p.layer[l].pool,
              pooled = p.out_side(l) / pool;
    const float *bias = weight + p.weights(l);
    std::vector<double> next;
    for (int o = 0; o < p.layer[l].channels; ++o)
      for (int at = 0; at < pooled * pooled; ++at) {
        double most = -INFINITY;
        for (int q = 0; q < pool * pool; ++q) {
          const int top = (at / pooled * pool + q / pool) * p.layer[l].stride,
                    left = (at % pooled * pool + q % pool) * p.layer[l].stride;
          double sum = bias[o];
          for (int i = 0; i < in; ++i)
            for (int k = 0; k < kernel * kernel; ++k)
              sum += weight[(o * in + i) * kernel * kernel + k] *
                     h[std::size_t((i * side + top + k / kernel) * side + left + k % kernel)];
          most = std::max(most, sum);
        }
        next.push_back(l + 1 < p.layers ? activate(shape.act, most) : most);
      }
    if (p.layer[l].average) {
      const std::size_t area = next.size() / std::size_t(p.layer[l].channels);
      for (std::size_t c = 0; c * area < next.size(); ++c)
        next[c] = std::accumulate(next.begin() + std::ptrdiff_t(c * area),
                                  next.begin() + std::ptrdiff_t((c + 1) * area), 0.0) /
                  double(area);
      next.resize(std::size_t(p.layer[l].channels));
    }
    weight = bias + p.layer[l].channels, h = std::move(next);
  }
  return h;
}

void check_same_function(const std::vector<float> &a, const std::vector<float> &b, const NetworkShape &shape) {
  for (int trial = 0; trial < 5; ++trial) {
    const auto x = random_values<float>(std::size_t(inputs_of(shape)), 50 + trial);
    CHECK(relative_error(outputs(a, shape, x), outputs(b, shape, x)) <= 1e-5); // of weights rounded to float
  }
}

// Two convolutions, one of them pooled, and two linear layers.
NetworkShape convolutional(Activation act) {
  NetworkShape shape{{6, 3}, act, Initialisation::pytorch, network_kind_named("cnn")};
  shape.own = CnnSettings{11, 1, {{4, 3, 2}, {5, 2, 1}}};
  return shape;
}
// With a stride and the mean of the whole image instead.
NetworkShape averaging(Activation act) {
  NetworkShape shape = convolutional(act);
  shape.widths = {3}, shape.own = CnnSettings{11, 1, {{4, 3, 1, 2}, {5, 2, 1, 1, true}}};
  return shape;
}

} // namespace

TEST_CASE("assignment agrees with scipy") {
  const Golden golden("statistics");
  for (const int n : {1, 2, 7, 32, 64}) {
    CAPTURE(n);
    const auto cost = golden.get<double>("cost." + std::to_string(n));
    const auto column = assign(cost, n);
    double sum = 0;
    for (int i = 0; i < n; ++i)
      sum += cost[std::size_t(i * n + column[std::size_t(i)])];
    CHECK(sum == doctest::Approx(golden.get<double>("minimum." + std::to_string(n))[0]).epsilon(1e-12));
    const auto expected = golden.file().read<std::int64_t>("column_of_row." + std::to_string(n));
    CHECK(std::vector<std::int64_t>(column.begin(), column.end()) == expected); // random costs: one optimum
  }
}

TEST_CASE("symmetry: balancing, changing places and matching leave the function alone") {
  for (const auto act :
       {Activation::relu, Activation::leaky_relu, Activation::tanh, Activation::sine, Activation::gelu})
    for (const NetworkShape &shape : {NetworkShape{{7, 5, 3}, act},
                                      {{6, 9, 4, 2}, act},
                                      {{4, 3}, act},

                                      convolutional(act),
                                      averaging(act)}) {
      CAPTURE(std::string(name_of(act)));
      CAPTURE(std::string(name_of(shape.kind)));
      CAPTURE(shape.widths.size());
      const int hidden = unit_layers(shape).layers - 1;
      const std::size_t v = layout_of(shape).size();
      REQUIRE(unit_layers(shape).parameters() == v);
      const auto theta = random_values<float>(v, 1, 0.3);
      auto balanced = theta, shuffled = theta;
      balance(balanced.data(), shape);
      shuffle_units(shuffled.data(), shape, {}, 3, 4);
      check_same_function(balanced, theta, shape);
      check_same_function(shuffled, theta, shape);
      UnitFactors factors{.signs = act == Activation::tanh || act == Activation::sine,
                          .spread = act == Activation::relu || act == Activation::leaky_relu ? 0.3 : 0};
      auto augmented = theta;
      shuffle_units(augmented.data(), shape, factors, 3, 4);
      check_same_function(augmented, theta, shape);
      if (hidden > 0)
        CHECK((augmented != shuffled) == (act != Activation::gelu));
      factors.signs = !factors.signs, factors.spread = 0;
      if (factors.signs)
        CHECK_THROWS_AS(shuffle_units(augmented.data(), shape, factors, 3, 4), InputError);
      if (hidden > 0)
        CHECK(shuffled != theta);
      // Of one network in any order of units and any balance, the same member.
      auto back = shuffled;
      const UnitOrders orders = match_units(back.data(), theta.data(), shape);
      for (std::size_t layer = 0; layer < orders.size(); ++layer)
        permute_units(shuffled.data(), shape, int(layer), orders[layer]);
      CHECK(shuffled == back);
      if (hidden <= 1)
        CHECK(back == theta);
      check_same_function(back, theta, shape);
      auto twice = balanced;
      balance(twice.data(), shape);
      CHECK(relative_error(twice, balanced) <= 1e-5);
    }
}

TEST_CASE("symmetry: on real images too, networks keep their function") {
  const Dataset set = load_dataset({.pool = 2});
  const auto pixels = std::size_t(set.side * set.side);
  for (const auto act : {Activation::relu, Activation::tanh}) {
    NetworkShape cnn{{6, 10}, act, Initialisation::pytorch, network_kind_named("cnn")};
    cnn.own = CnnSettings{set.side, 1, {{4, 5, 2}, {3, 3, 1}}};
    for (const NetworkShape &shape : {NetworkShape{{int(pixels), 8, 10}, act}, {{int(pixels), 9, 7, 10}, act}, cnn}) {
      const auto theta = random_values<float>(layout_of(shape).size(), 1, 0.2);
      auto chosen = theta, moved = theta;
      balance(chosen.data(), shape);
      shuffle_units(moved.data(), shape, {act == Activation::tanh, act == Activation::relu ? 0.3 : 0}, 3, 4);
      CHECK(moved != theta);
      for (std::size_t i = 0; i < 20; ++i) {
        std::vector<float> x;
        for (std::size_t p = 0; p < pixels; ++p)
          x.push_back(float((set.test.pixels[i * pixels + p] / 255.0 - set.mean) / set.std));
        const auto expected = outputs(theta, shape, x);
        CHECK(relative_error(outputs(chosen, shape, x), expected) <= 1e-5);
        CHECK(relative_error(outputs(moved, shape, x), expected) <= 1e-5);
      }
    }
  }
}

TEST_CASE("symmetry: deep networks of ReLU settle") {
  for (const NetworkShape &shape : {NetworkShape{{6, 9, 4, 2}},
                                    {{5, 6, 4, 6, 5, 3}},
                                    convolutional(Activation::relu),
                                    averaging(Activation::relu)}) {
    auto theta = random_values<float>(layout_of(shape).size(), 1);
    for (std::size_t i = 0; i < 20; ++i)
      theta[i] *= 100;
    balance(theta.data(), shape);
    auto twice = theta;
    balance(twice.data(), shape);
    CHECK(relative_error(twice, theta) <= 1e-5); // a millionth of each hidden layer's factor, and rounding
  }
}

TEST_CASE("symmetry: balanced units of ReLU have equal norms on both sides") {
  const NetworkShape shape{{7, 5, 3}, Activation::relu};
  auto theta = random_values<float>(layout_of(shape).size(), 1);
  balance(theta.data(), shape);
  for (std::size_t u = 0; u < 5; ++u) {
    double in = std::pow(theta[35 + u], 2), out = 0;
    for (std::size_t i = 0; i < 7; ++i)
      in += std::pow(theta[u * 7 + i], 2);
    for (std::size_t o = 0; o < 3; ++o)
      out += std::pow(theta[40 + o * 5 + u], 2);
    CHECK(in == doctest::Approx(out).epsilon(1e-5));
  }
}

namespace {

// A tokenizer of somebody's own: everything in one token, from the end.
Tokens reversed(const Tokenised &t) {
  const auto size = int(t.layout.back().offset + elements_of(t.layout.back()));
  Tokens tokens{{{"all", 1, size, false}}, {}};
  for (int i = size - 1; i >= 0; --i)
    tokens.place.push_back(i);
  return tokens;
}
const bool tokenizer_added = add_tokenizer("reversed", reversed);

} // namespace

TEST_CASE("tokens: every tokenizer holds every weight once, and gives it back; units are whole") {
  NetworkShape cnn{{3}, Activation::relu, Initialisation::pytorch, network_kind_named("cnn")}; // of one hidden layer
  cnn.own = CnnSettings{9, 1, {{5, 3, 2}}};
  const std::vector<NetworkShape> shapes{
      {{7, 5, 3}}, {{6, 9, 4, 2}}, {{4, 3}}, cnn, convolutional(Activation::tanh), averaging(Activation::tanh)};
  for (const NetworkShape &shape : shapes)
    for (const auto &[name, tokenizer] : tokenizers()) { // and "reversed"
      CAPTURE(name);
      CAPTURE(shape.widths.size());
      const Layout layout = layout_of(shape);
      const Tokenised t{layout.places(), shape, 10};
      const Tokens tokens = tokens_by(name, t);
      std::vector<float> theta(layout.size()), made(tokens.size()), back(layout.size(), -1);
      std::iota(theta.begin(), theta.end(), 1.0f);
      tokens.tokenise(made.data(), theta.data());
      tokens.detokenise(back.data(), made.data());
      CHECK(back == theta);
      std::size_t size = 0;
      for (const TokenType &type : tokens.types)
        size += type.size();
      CHECK(size == tokens.size());
      CHECK(std::size_t(std::count(made.begin(), made.end(), 0.0f)) == tokens.size() - layout.size()); // padding
    }
  // Changing the places of units is changing the places of tokens; also of channels, with all that a linear layer reads
  // of them.
  const std::vector<int> order{2, 0, 4, 1, 3};
  for (const auto &[of, width] : {std::pair{shapes[0], 7 + 1 + 3}, {cnn, 3 * 3 + 1 + 3 * 3 * 3}}) {
    const Layout layout = layout_of(of);
    const Tokens tokens = tokens_by("neuron", {layout.places(), of, 0});
    CHECK(tokens.types.size() == 2);
    CHECK(tokens.types[0].width == width);
    CHECK(tokens.types[0].exchangeable);
    auto theta = random_values<float>(layout.size(), 1);
    std::vector<float> before(tokens.size()), after(tokens.size());
    tokens.tokenise(before.data(), theta.data());
    permute_units(theta.data(), of, 0, order);
    tokens.tokenise(after.data(), theta.data());
    for (std::size_t u = 0; u < 5; ++u) {
      const auto token = [&](std::size_t i) { return std::ptrdiff_t(i) * width; };
      CHECK(std::equal(before.begin() + token(u), before.begin() + token(u + 1),
                       after.begin() + token(std::size_t(order[u]))));
    }
  }
  const NetworkShape &shape = shapes[0];
  const Layout layout = layout_of(shape);
  CHECK(tokenizer_added);
  CHECK(tokens_by("reversed", {layout.places(), shape, 0}).place.front() == std::int32_t(layout.size()) - 1);
  CHECK_THROWS_AS(tokens_by("words", {layout.places(), shape, 0}), InputError);
}

TEST_CASE("layout: a model's tensors begin at whole cache lines; files and first values know nothing of it") {
  Layout packed, aligned(model_alignment);
  for (Layout *layout : {&packed, &aligned}) {
    layout->add("a", {3, 5}, {.bound = 1});
    layout->add("b", {16}, {.constant = 2});
    layout->add("c", {1}, {.bound = 0.5});
    layout->add("d", {7}, {.bound = 1});
  }
  CHECK(packed.size() == 39);
  CHECK(packed.packed_size() == 39);
  CHECK(aligned.packed_size() == 39);
  CHECK(aligned.size() == 16 + 16 + 16 + 7);
  for (const auto &place : aligned.places())
    CHECK(place.offset % model_alignment == 0);
  const auto first = packed.initial_values(7, 1);
  CHECK(aligned.packed(aligned.initial_values(7, 1)) == first);
  const auto spread = aligned.spread(first);
  CHECK(aligned.packed(spread) == first);
  CHECK(spread[15] == 0); // between a and b
  CHECK(spread[16] == 2);
  CHECK_THROWS_AS(aligned.spread(std::vector<float>(40)), Error);
}
