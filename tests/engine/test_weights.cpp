// Tokenizers, symmetries and assignments: what leaves a network's function alone.
#include "engine/weights/assignment.h"
#include "engine/weights/symmetry.h"
#include "engine/weights/tokens.h"
#include "tests/check.h"
#include <numeric>

using namespace theta;
using namespace theta::test;

namespace {

std::vector<double> outputs(const std::vector<float> &theta, const NetworkShape &shape, const std::vector<float> &x) {
  std::vector<double> h(x.begin(), x.end());
  std::size_t at = 0;
  for (std::size_t l = 0; l + 1 < shape.widths.size(); ++l) {
    const auto in = std::size_t(shape.widths[l]), out = std::size_t(shape.widths[l + 1]);
    std::vector<double> z;
    for (std::size_t o = 0; o < out; ++o) {
      double sum = theta[at + in * out + o];
      for (std::size_t i = 0; i < in; ++i)
        sum += theta[at + o * in + i] * h[i];
      z.push_back(l + 2 < shape.widths.size() ? activate(shape.act, sum) : sum);
    }
    at += (in + 1) * out, h = z;
  }
  return h;
}

void check_same_function(const std::vector<float> &a, const std::vector<float> &b, const NetworkShape &shape) {
  for (int trial = 0; trial < 5; ++trial) {
    const auto x = random_values<float>(std::size_t(shape.widths[0]), 50 + trial);
    CHECK(relative_error(outputs(a, shape, x), outputs(b, shape, x)) <= 1e-5); // of weights rounded to float
  }
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
    for (const auto &widths : {std::vector{7, 5, 3}, {6, 9, 4, 2}, {4, 3}}) {
      CAPTURE(std::string(name_of(act)));
      CAPTURE(widths.size());
      const NetworkShape shape{widths, act};
      const std::size_t v = layout_of(shape).size();
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
      if (widths.size() > 2)
        CHECK((augmented != shuffled) == (act != Activation::gelu));
      factors.signs = !factors.signs, factors.spread = 0;
      if (factors.signs)
        CHECK_THROWS_AS(shuffle_units(augmented.data(), shape, factors, 3, 4), InputError);
      if (widths.size() > 2)
        CHECK(shuffled != theta);
      // Of one network in any order of units and any balance, the same member.
      auto back = shuffled;
      const UnitOrders orders = match_units(back.data(), theta.data(), shape);
      for (std::size_t layer = 0; layer < orders.size(); ++layer)
        permute_units(shuffled.data(), shape, int(layer), orders[layer]);
      CHECK(shuffled == back);
      if (widths.size() <= 3)
        CHECK(back == theta);
      check_same_function(back, theta, shape);
      auto twice = balanced;
      balance(twice.data(), shape);
      CHECK(relative_error(twice, balanced) <= 1e-5); // deep ones settle to that
    }
  NetworkShape cnn{{2}, Activation::relu, Initialisation::pytorch, NetworkKind::cnn};
  float nothing = 0;
  CHECK_THROWS_AS(permute_units(&nothing, cnn, 0, {}), InputError);
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
const bool added = add_tokenizer("reversed", reversed);

} // namespace

TEST_CASE("tokens: every tokenizer holds every weight once, and gives it back; units are whole") {
  NetworkShape cnn{{5, 3}, Activation::tanh, Initialisation::pytorch, NetworkKind::cnn};
  cnn.side = 9, cnn.convolutions = {{4, 3, 2}};
  const std::vector<NetworkShape> shapes{{{7, 5, 3}}, {{6, 9, 4, 2}}, {{4, 3}}, cnn};
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
  // Changing the places of units is changing the places of tokens.
  const NetworkShape shape{{7, 5, 3}};
  const Layout layout = layout_of(shape);
  const Tokens tokens = tokens_by("neuron", {layout.places(), shape, 0});
  CHECK(tokens.types.size() == 2);
  CHECK(tokens.types[0].width == 7 + 1 + 3);
  CHECK(tokens.types[0].exchangeable);
  auto theta = random_values<float>(layout.size(), 1);
  std::vector<float> before(tokens.size()), after(tokens.size());
  tokens.tokenise(before.data(), theta.data());
  const std::vector<int> order{2, 0, 4, 1, 3};
  permute_units(theta.data(), shape, 0, order);
  tokens.tokenise(after.data(), theta.data());
  for (std::size_t u = 0; u < 5; ++u)
    CHECK(std::equal(before.begin() + std::ptrdiff_t(u * 11), before.begin() + std::ptrdiff_t(u * 11 + 11),
                     after.begin() + std::ptrdiff_t(order[u] * 11)));
  CHECK(added);
  CHECK(tokens_by("reversed", {layout.places(), shape, 0}).place.front() == std::int32_t(layout.size()) - 1);
  CHECK_THROWS_AS(tokens_by("words", {layout.places(), shape, 0}), InputError);
}
