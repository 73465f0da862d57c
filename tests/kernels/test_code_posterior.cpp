#include "kernels/operations/code_posterior.h"
#include "tests/check.h"
#include <algorithm>

using namespace theta;
using namespace theta::test;

namespace {

constexpr int rows = 3;
constexpr std::size_t size = 37;

// Codes at 20..35 with their second numbers at 0..15; what is between is none.
std::vector<std::int32_t> second_numbers() {
  std::vector<std::int32_t> of(size, -1);
  for (int e = 0; e < 16; ++e)
    of[std::size_t(20 + e)] = (e * 5) % 16;
  return of;
}

struct NoisyCodes {
  std::vector<double> mean = random_values<double>(size, 1, 0.3), std = random_values<double>(size, 2),
                      z = random_values<double>(rows * size, 3), y = random_values<double>(rows * size, 4),
                      t{0.9, 0.4, 0.02};
  std::vector<std::int32_t> second = second_numbers();
  NoisyCodes() {
    for (double &s : std)
      s = 0.5 + std::abs(s);
  }
};

template <class T> std::vector<T> as(const std::vector<double> &x) { return {x.begin(), x.end()}; }

// p(c) of a code, straight from the definition.
std::vector<double> probabilities(double u, double v, double z, double t, double mean, double std, int most) {
  std::vector<double> p;
  for (int c = -most; c <= most; ++c) {
    const double x = (c - mean) / std;
    p.push_back(u * x + v * x * x - std::pow(z - (1 - t) * x, 2) / (2 * t * t));
  }
  double sum = 0;
  for (const double largest = *std::max_element(p.begin(), p.end()); double &of : p)
    sum += of = std::exp(of - largest);
  for (double &of : p)
    of /= sum;
  return p;
}

} // namespace

TEST_CASE("code posterior: moments are those of the definition, and back they are what an objective asks for") {
  const NoisyCodes of;
  for (const int most : {1, 7}) {
    CAPTURE(most);
    auto wanted = of.y;
    for (int row = 0; row < rows; ++row)
      for (std::size_t e = 0; e < size; ++e)
        if (of.second[e] >= 0) {
          const std::size_t at = std::size_t(row) * size + e,
                            other = std::size_t(row) * size + std::size_t(of.second[e]);
          const auto p =
              probabilities(of.y[at], of.y[other], of.z[at], of.t[std::size_t(row)], of.mean[e], of.std[e], most);
          double first = 0, second = 0;
          for (int c = -most; c <= most; ++c) {
            const double x = (c - of.mean[e]) / of.std[e];
            first += p[std::size_t(c + most)] * x, second += p[std::size_t(c + most)] * x * x;
          }
          wanted[at] = first, wanted[other] = second;
        }
    in_every_precision([&]<class T>(T, Stream &s) {
      const Buffer<T> y(s, as<T>(of.y)), z(s, as<T>(of.z)), t(s, as<T>(of.t)), mean(s, as<T>(of.mean)),
          std(s, as<T>(of.std));
      const Buffer<std::int32_t> second(s, of.second);
      const CodeElements<T> p{rows, size, second, most, mean, std};
      code_moments<T>(s, y, z, t, NoiseSchedule::uniform, p);
      CHECK(relative_error(y.host(), wanted) <= (sizeof(T) == 8 ? 1e-12 : 2e-4)); // z/t² of floats, t = 0.02
      const auto moments = y.host();
      code_answers<T>(s, y, z, t, NoiseSchedule::uniform, Objective::velocity, p);
      const auto answers = y.host();
      for (int row = 0; row < rows; ++row)
        for (std::size_t e = 0; e < size; ++e)
          if (const std::size_t base = std::size_t(row) * size; of.second[e] >= 0) {
            CHECK(double(answers[base + e]) ==
                  doctest::Approx((of.z[base + e] - double(moments[base + e])) / of.t[std::size_t(row)]).epsilon(1e-4));
            CHECK(answers[base + std::size_t(of.second[e])] == 0);
          }
      CHECK(answers[18] == T(of.y[18])); // which is no code
    });
  }
}

TEST_CASE("code posterior: targets are the data and its square, and errors of moments are the gradient of −log p") {
  NoisyCodes of;
  std::vector<double> x0 = random_values<double>(rows * size, 5), noise = random_values<double>(rows * size, 6),
                      target = noise;
  for (const NoiseSchedule schedule : {NoiseSchedule::uniform, NoiseSchedule::cosine})
    for (const Objective objective : {Objective::velocity, Objective::v, Objective::x0}) {
      auto wanted = target;
      for (std::size_t i = 0; i < x0.size(); ++i) {
        const auto level = level_at(schedule, of.t[i / size]);
        const auto [p, q] = target_of(objective, level);
        of.z[i] = level.signal * x0[i] + level.noise * noise[i], target[i] = wanted[i] = p * x0[i] + q * noise[i];
      }
      for (std::size_t i = 0; i < x0.size(); ++i)
        if (of.second[i % size] >= 0)
          wanted[i] = x0[i], wanted[i / size * size + std::size_t(of.second[i % size])] = x0[i] * x0[i];
      in_every_precision([&]<class T>(T, Stream &s) {
        const Buffer<T> to(s, as<T>(target)), z(s, as<T>(of.z)), t(s, as<T>(of.t)), mean(s, as<T>(of.mean)),
            std(s, as<T>(of.std));
        const Buffer<std::int32_t> second(s, of.second);
        code_targets<T>(s, to, z, t, schedule, objective, {rows, size, second, 1, mean, std});
        CHECK(relative_error(to.host(), wanted) <= (sizeof(T) == 8 ? 1e-12 : 1e-4));
      });
    }
  // −log p of code 1 of −7..7, by differences.
  const double u = 0.3, v = -0.4, z = 0.2, t = 0.6, mean = 0.1, std = 1.7, h = 1e-6;
  const auto loss = [&](double a, double b) { return -std::log(probabilities(a, b, z, t, mean, std, 7)[8]); };
  const auto moments = moments_of<double>(u, v, z, {1 - t, t}, mean, std, 7);
  const double x = (1 - mean) / std;
  CHECK((loss(u + h, v) - loss(u - h, v)) / (2 * h) == doctest::Approx(moments.first - x).epsilon(1e-6));
  CHECK((loss(u, v + h) - loss(u, v - h)) / (2 * h) == doctest::Approx(moments.second - x * x).epsilon(1e-6));
}
