#include "kernels/operations/activation.h"
#include "kernels/operations/units.h"
#include "tests/check.h"
#include <algorithm>
#include <array>
#include <numbers>
#include <numeric>
#include <set>

using namespace theta;
using namespace theta::test;

namespace {

// A network of such layers at two positions, in double: tap k sees what its unit says there times cos(k + p), and
// pooled units say at both what is the larger of the two. x [inputs].
std::vector<double> outputs(const float *theta, const UnitLayers &w, const std::vector<double> &inputs,
                            Activation act) {
  std::vector<std::array<double, 2>> x;
  for (const double value : inputs)
    x.push_back({value, 0.5 - value});
  for (int l = 0; l < w.layers; theta += w.size(l++)) {
    std::vector<std::array<double, 2>> y;
    for (int o = 0; o < w.width[l + 1]; ++o) {
      const float *weight = theta + std::size_t(o) * w.incoming(l);
      std::array<double, 2> said{};
      for (int p = 0; p < 2; ++p) {
        double sum = theta[w.weights(l) + std::size_t(o)];
        for (int i = 0; i < w.width[l]; ++i)
          for (int k = 0; k < w.taps[l]; ++k)
            sum += weight[i * w.taps[l] + k] * x[std::size_t(i)][std::size_t(p)] * std::cos(k + p);
        said[std::size_t(p)] = l + 1 == w.layers ? sum : activate(act, sum, w.omega);
      }
      if (w.pooled[l])
        said.fill(std::max(said[0], said[1]));
      y.push_back(said);
    }
    x = std::move(y);
  }
  std::vector<double> all;
  for (const auto &said : x)
    all.insert(all.end(), said.begin(), said.end());
  return all;
}

// Convolutions, the first with pooling, and a linear layer.
UnitLayers convolutional() {
  UnitLayers w;
  w.width[0] = 2;
  w.add(3, 4, true), w.add(5, 9, false), w.add(2, 6, false);
  return w;
}

} // namespace

TEST_CASE("units: balanced and shuffled networks compute the same, on every device") {
  std::vector<UnitLayers> all{UnitLayers::of({5, 3, 2}), UnitLayers::of({7, 40, 6, 3}), UnitLayers::of({3, 2}),
                              convolutional()};
  all[1].omega = 12.5;
  for (const UnitLayers &w : all)
    same_on_every_device(1e-5, [&](Stream &s) {
      const int networks = 6, pair = 3;
      const std::size_t v = w.parameters(), n = v * networks;
      const auto start = random_values<float>(n, 1);
      const Buffer<float> norms(s, start), signs(s, start), phases(s, start), shuffled(s, n), scaled(s, n),
          ordered(s, n), turned(s, n);
      balance_units<float>(s, norms, networks, w, UnitBalance::norms);
      balance_units<float>(s, signs, networks, w, UnitBalance::signs);
      balance_units<float>(s, phases, networks, w, UnitBalance::phases);
      const Draws draws{5, Purpose::unit_order, 9, 0};
      std::vector<std::int32_t> in_order(v);
      std::iota(in_order.begin(), in_order.end(), 0);
      const Buffer<std::int32_t> place(s, in_order);
      const Buffer<float> zero(s, std::vector<float>(v, 0)), one(s, std::vector<float>(v, 1));
      const auto shuffle = [&](float *to, const float *from, UnitFactors factors) {
        for (const std::size_t half : {std::size_t(0), std::size_t(pair) * v})
          gather_tokens<float>(s, to + half, from + half, place, zero, one, pair, 1, v, v, {w, factors, draws});
      };
      shuffle(shuffled, norms, {});
      shuffle(scaled, norms, {.spread = 0.5});
      shuffle(ordered, signs, {});
      shuffle(turned, signs, {.signs = true});
      const auto balanced = norms.host(), flipped = signs.host(), moved = shuffled.host(), sizes = scaled.host(),
                 mirrored = turned.host(), sines = phases.host();
      // Units of any signs are brought to the same ones.
      const auto placed = ordered.host();
      balance_units<float>(s, turned, networks, w, UnitBalance::signs);
      CHECK(turned.host() == placed);
      const auto x = random_values<double>(std::size_t(w.width[0]), 7);
      for (int i = 0; i < networks; ++i) {
        const float *before = start.data() + std::size_t(i) * v;
        for (const auto &[after, act] : {std::pair{&balanced, Activation::relu},
                                         {&moved, Activation::relu},
                                         {&sizes, Activation::relu},
                                         {&flipped, Activation::tanh},
                                         {&mirrored, Activation::tanh},
                                         {&sines, Activation::sine}})
          CHECK(norm_error(outputs(after->data() + std::size_t(i) * v, w, x, act), outputs(before, w, x, act)) <= 1e-5);
        // Norms are equal in the first layer, which was balanced last, and signs as they should be in every one.
        std::size_t first = 0;
        for (int l = 0; l + 1 < w.layers; first += w.size(l++)) {
          const std::size_t in = w.incoming(l), units = std::size_t(w.width[l + 1]), taps = std::size_t(w.taps[l + 1]);
          for (std::size_t u = 0; u < units; ++u) {
            double incoming = 0, outgoing = 0, cubes = 0, of_sine = 0;
            const float *theta = balanced.data() + std::size_t(i) * v + first;
            const float *sign = flipped.data() + std::size_t(i) * v + first;
            const float *sine = sines.data() + std::size_t(i) * v + first;
            for (std::size_t k = 0; k <= in; ++k)
              incoming += std::pow(theta[k < in ? u * in + k : in * units + u], 2);
            for (std::size_t o = 0; o < std::size_t(w.width[l + 2]); ++o)
              for (std::size_t k = 0; k < taps; ++k) {
                const std::size_t at = (in + 1) * units + (o * units + u) * taps + k;
                outgoing += std::pow(theta[at], 2), cubes += std::pow(sign[at], 3), of_sine += std::pow(sine[at], 3);
              }
            if (l == 0)
              CHECK(incoming == doctest::Approx(outgoing).epsilon(1e-4));
            if (w.pooled[l])
              continue;
            CHECK(cubes > 0);
            CHECK(of_sine > 0);
            CHECK(std::abs(sine[in * units + u]) <= std::numbers::pi / (2 * w.omega) * (1 + 1e-5));
          }
        }
      }
      // Units keep their order under factors; networks i and i + pair share both.
      if (w.width[1] == 40) {
        const int in = w.width[0], units = 40;
        const auto bias = [&](const std::vector<float> &of, int i, int u) {
          return of[std::size_t(i) * v + std::size_t(in * units + u)];
        };
        int flips = 0;
        double squares = 0;
        for (int u = 0; u < units; ++u) {
          const double factor = bias(sizes, 0, u) / bias(moved, 0, u);
          CHECK(bias(sizes, pair, u) / bias(moved, pair, u) == doctest::Approx(factor).epsilon(1e-5));
          const bool flip = bias(mirrored, 0, u) != bias(placed, 0, u);
          CHECK((bias(mirrored, pair, u) != bias(placed, pair, u)) == flip);
          squares += std::pow(std::log(factor), 2), flips += flip;
        }
        CHECK(std::sqrt(squares / units) == doctest::Approx(0.5).epsilon(0.35)); // three standard errors
        CHECK((flips > 10 && flips < 30));                                       // likewise
      }
      // Networks i and i + pair move alike: the first bias of each unit tells where it went.
      if (w.width[1] == 40) {
        const std::size_t bias = w.weights(0);
        const auto order = [&](int i) {
          std::vector<std::size_t> from;
          for (int u = 0; u < 40; ++u)
            for (int k = 0; k < 40; ++k)
              if (moved[std::size_t(i) * v + bias + std::size_t(u)] ==
                  balanced[std::size_t(i) * v + bias + std::size_t(k)])
                from.push_back(std::size_t(k));
          return from;
        };
        CHECK(order(0) == order(pair));
        CHECK(order(0) != order(1));
        const auto one = order(0);
        CHECK(std::set<std::size_t>(one.begin(), one.end()).size() == 40);
      }
      return Results{balanced, flipped, moved, sizes, mirrored, sines};
    });
  CHECK_THROWS_AS(UnitLayers::of({3}), InputError);
  CHECK_THROWS_AS(UnitLayers::of(std::vector<int>(most_layers + 2, 3)), InputError);
}

TEST_CASE("units: gathered and scattered tokens, on every device") {
  same_on_every_device(0, [](Stream &s) {
    const std::size_t v = 11, size = 14;
    const int networks = 3, repeat = 2;
    std::vector<std::int32_t> places{4, 10, -1, 0, 7, 3, 2, -1, 9, 8, 5, 1, 6, -1};
    const Buffer<std::int32_t> place(s, places);
    const Buffer<float> theta(s, random_values<float>(v * networks, 1)), mean(s, random_values<float>(size, 2)),
        std(s, std::vector<float>(size, 0.5f)), tokens(s, size * networks * repeat), back(s, v * networks);
    gather_tokens<float>(s, tokens, theta, place, mean, std, networks, repeat, v, size, {});
    const auto made = tokens.host(), from = theta.host();
    for (std::size_t r = 0; r < std::size_t(networks * repeat); ++r)
      for (std::size_t e = 0; e < size; ++e)
        CHECK(made[r * size + e] ==
              (places[e] < 0 ? 0 : (from[r / repeat * v + std::size_t(places[e])] - mean.host()[e]) / 0.5f));
    const Buffer<float> once(s, size * networks);
    gather_tokens<float>(s, once, theta, place, mean, std, networks, 1, v, size, {});
    scatter_tokens<float>(s, back, once, place, mean, std, networks, v, size);
    const auto again = back.host();
    CHECK(relative_error(again, from) <= 1e-6);
    // Shuffled on the way, every repeat of a network alike.
    const UnitShuffle shuffle{UnitLayers::of({3, 2, 1}), {.spread = 0.3}, {5, Purpose::unit_order, 9, 0}};
    REQUIRE(shuffle.layers.parameters() == v);
    std::vector<std::int32_t> in_order(v);
    std::iota(in_order.begin(), in_order.end(), 0);
    const Buffer<std::int32_t> whole(s, in_order);
    const Buffer<float> zero(s, std::vector<float>(v, 0)), one(s, std::vector<float>(v, 1)), moved(s, v * networks),
        after(s, size * networks * repeat);
    gather_tokens<float>(s, moved, theta, whole, zero, one, networks, 1, v, v, shuffle);
    gather_tokens<float>(s, after, moved, place, mean, std, networks, repeat, v, size, {});
    gather_tokens<float>(s, tokens, theta, place, mean, std, networks, repeat, v, size, shuffle);
    const auto shuffled = tokens.host();
    CHECK(relative_error(shuffled, after.host()) <= 1e-6); // a product may be added to without being rounded
    CHECK(shuffled != made);
    return Results{made};
  });
}
