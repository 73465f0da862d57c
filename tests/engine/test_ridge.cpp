#include "engine/weights/by_gradient.h"
#include "engine/weights/ridge.h"
#include "tests/check.h"

using namespace theta;
using namespace theta::test;

namespace {

// Networks of five weights: a line of two facts, perhaps of their roots, and noise.
struct Planted {
  std::vector<float> facts; // [n, 2]
  std::vector<std::vector<float>> networks;
  Planted(std::size_t n, double noise, bool roots) {
    for (std::size_t i = 0; i < n; ++i) {
      const double a = double(uniform01(philox(1, Purpose::test, 0, i).word[0])),
                   b = double(uniform01(philox(1, Purpose::test, 1, i).word[0]));
      facts.push_back(float(a)), facts.push_back(float(b));
      auto &theta = networks.emplace_back();
      for (int c = 0; c < 5; ++c)
        theta.push_back(float(0.3 * c + (c - 2) * (roots ? std::sqrt(a) : a) + (roots ? std::sqrt(b) : b) +
                              noise * double(normal(1, Purpose::test, 2, 5 * i + std::uint64_t(c)))));
    }
  }
  Ridge fitted() const {
    return {facts, 2, 5, [&](std::size_t i, float *to) { std::copy(networks[i].begin(), networks[i].end(), to); }};
  }
};

} // namespace

TEST_CASE("ridge: a straight line is found, with roots only where they tell more") {
  for (const bool roots : {false, true}) {
    CAPTURE(roots);
    const Planted planted(400, 0, roots);
    const Ridge ridge = planted.fitted();
    CHECK(ridge.explained() > 0.999);
    const float asked[] = {0.25f, 0.81f};
    std::vector<float> theta(5);
    ridge.answer(asked, theta.data());
    for (int c = 0; c < 5; ++c) {
      const double a = roots ? 0.5 : 0.25, b = roots ? 0.9 : 0.81;
      CHECK(double(theta[std::size_t(c)]) == doctest::Approx(0.3 * c + (c - 2) * a + b).epsilon(0.01));
    }
    const Ridge again(2, 5, ridge.numbers());
    std::vector<float> same(5);
    again.answer(asked, same.data());
    CHECK(same == theta);
    if (!roots)
      CHECK(ridge.numbers().size() % 5 == 0);
  }
}

TEST_CASE("ridge: what it tells of networks that it has not seen is the share that facts explain") {
  const Planted planted(2000, 0.5, false);
  // Variances of uniform facts are 1/12 each; over the weights Σ((c − 2)² + 1)/12 = 15/12 beside 5·0.25 of noise.
  CHECK(planted.fitted().explained() == doctest::Approx(0.5).epsilon(0.05));
  const Planted nothing(2000, 1000, false);
  CHECK(std::abs(nothing.fitted().explained()) < 0.01);
}

TEST_CASE("ridge: too few networks, or numbers of another size, are refused") {
  CHECK_THROWS_AS(Planted(4, 0, false).fitted(), InputError);
  CHECK_THROWS_AS(Ridge(2, 5, std::vector<float>(14)), InputError);
}

TEST_CASE("by gradient: rates take any gradient as far as those seen; a regression knows their directions alone") {
  // Changes are −rate∘gradient, and of a second tensor what the first direction says beside; gradients span three
  // directions of six.
  const std::vector<TensorPlace> layout{{"a", {3}, 0}, {"b", {3}, 3}};
  const float rate[] = {2, 2, 2, 0.5f, 0.5f, 0.5f};
  std::vector<std::vector<float>> gradients, changes;
  for (std::uint64_t i = 0; i < 60; ++i) {
    const auto draw = [&](std::uint32_t stream) { return float(normal(1, Purpose::test, stream, i)); };
    const float x = draw(0), y = draw(1), z = draw(2);
    gradients.push_back({x, y, 0, z, 0.1f * x, 0});
    auto &change = changes.emplace_back();
    for (std::size_t j = 0; j < 6; ++j)
      change.push_back(-rate[j] * gradients.back()[j] + (j == 5 ? x : 0));
  }
  const auto reader = [](const std::vector<std::vector<float>> &of) {
    return [&of](std::size_t i, float *to) { std::copy(of[i].begin(), of[i].end(), to); };
  };
  const ByGradient learned(layout, 6, gradients.size(), reader(gradients), reader(changes));
  const auto rates = learned.numbers().rates;
  for (const std::size_t j : {0, 1, 2}) // the third has no gradient, and its tensor's rate
    CHECK(rates[j] == doctest::Approx(2).epsilon(1e-3));
  for (const std::size_t j : {3, 4, 5})
    CHECK(rates[j] == doctest::Approx(0.5).epsilon(1e-3));
  CHECK(learned.explained() > 0.99);
  std::vector<float> change(6);
  const float seen[] = {1, -1, 0, 2, 0.1f, 0}, unseen[] = {0, 0, 1, 0, 0, -1};
  learned.change(seen, change.data());
  const float of_seen[] = {-2, 2, 0, -1, -0.05f, 1};
  for (std::size_t j = 0; j < 6; ++j)
    CHECK(change[j] == doctest::Approx(of_seen[j]).epsilon(0.02));
  learned.change(unseen, change.data());
  const float of_unseen[] = {0, 0, -2, 0, 0, 0.5f};
  for (std::size_t j = 0; j < 6; ++j)
    CHECK(change[j] == doctest::Approx(of_unseen[j]).epsilon(0.01));
  const ByGradient again(learned.numbers());
  std::vector<float> same(6);
  again.change(unseen, same.data());
  CHECK(same == change);
  CHECK_THROWS_AS(ByGradient(layout, 6, 4, reader(gradients), reader(changes)), InputError);
}
