#include "kernels/operations/scan.h"
#include "tests/check.h"
#include "tests/engine/bound.h"

using namespace theta;
using namespace theta::test;

TEST_CASE("linear scan: every device, odd sizes, by its definition; in pieces as whole") {
  for (const Scan p : {Scan{1, 1, 1}, Scan{3, 7, 5}, Scan{2, 33, 67}, Scan{5, 2, 130}})
    same_on_every_device(1e-5, [&](Stream &s) {
      const std::size_t n = std::size_t(p.batch) * std::size_t(p.length) * std::size_t(p.channels),
                        states = std::size_t(p.batch * p.channels);
      const auto u_host = random_values<float>(n, 1), state_host = random_values<float>(states, 2),
                 nu_host = random_values<float>(std::size_t(p.channels), 3);
      const Buffer<float> u(s, u_host), state(s, state_host), nu(s, nu_host), h(s, n), last(s, states),
          dh(s, random_values<float>(n, 4)), du(s, n), dnu(s, random_values<float>(std::size_t(p.channels), 5)),
          partial(s, states);
      linear_scan_forward<float>(s, h, last, u, state, nu, p);
      linear_scan_backward<float>(s, du, dnu, dh, h, u, state, nu, partial, p);
      const auto made = h.host();
      for (int b = 0; b < p.batch; ++b)
        for (int c = 0; c < p.channels; c += 3) {
          const double a = std::exp(-std::exp(double(nu_host[std::size_t(c)])));
          double now = state_host[std::size_t(b * p.channels + c)];
          for (int t = 0; t < p.length; ++t) {
            const std::size_t at =
                (std::size_t(b) * std::size_t(p.length) + std::size_t(t)) * std::size_t(p.channels) + std::size_t(c);
            now = a * now + std::sqrt(1 - a * a) * u_host[at];
            CHECK(made[at] == doctest::Approx(now).epsilon(1e-4));
          }
          CHECK(last.host()[std::size_t(b * p.channels + c)] == doctest::Approx(now).epsilon(1e-4));
        }
      // One sequence in pieces of any length.
      if (p.batch == 1 || p.length > 30) {
        const Buffer<float> carried(s, std::vector<float>(state_host.begin(), state_host.begin() + p.channels)),
            pieces(s, std::size_t(p.length * p.channels));
        for (int first = 0; first < p.length; first += 10) {
          const int length = std::min(10, p.length - first);
          linear_scan_forward<float>(s, pieces + first * p.channels, carried, u + first * p.channels, carried, nu,
                                     {1, length, p.channels});
        }
        CHECK(pieces.host() == std::vector<float>(made.begin(), made.begin() + p.length * p.channels));
      }
      return Results{made, last.host(), du.host(), dnu.host()};
    });
}

TEST_CASE("linear scan: gradients agree with central differences in double") {
  Stream s{Device{}};
  const Scan p{3, 6, 5};
  const std::size_t n = std::size_t(p.batch * p.length * p.channels), states = std::size_t(p.batch * p.channels);
  const auto u0 = random_values<double>(n, 1), nu0 = random_values<double>(std::size_t(p.channels), 3),
             d = random_values<double>(n, 4);
  const Buffer<double> state(s, random_values<double>(states, 2)), dh(s, d), h(s, n), du(s, n),
      dnu(s, std::vector<double>(std::size_t(p.channels))), partial(s, states), u(s, u0), nu(s, nu0);
  linear_scan_forward<double>(s, h, nullptr, u, state, nu, p);
  linear_scan_backward<double>(s, du, dnu, dh, h, u, state, nu, partial, p);
  const auto weighed = [&](const std::vector<double> &u1, const std::vector<double> &nu1) {
    const Buffer<double> u(s, u1), nu(s, nu1), h(s, n);
    linear_scan_forward<double>(s, h, nullptr, u, state, nu, p);
    const auto values = h.host();
    double sum = 0;
    for (std::size_t i = 0; i < n; ++i)
      sum += values[i] * d[i];
    return sum;
  };
  check_gradient(u0, du.host(), [&](const std::vector<double> &x) { return weighed(x, nu0); });
  check_gradient(nu0, dnu.host(), [&](const std::vector<double> &x) { return weighed(u0, x); });
}
