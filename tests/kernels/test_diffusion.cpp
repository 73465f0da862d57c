#include "kernels/diffusion.h"
#include "tests/check.h"

using namespace theta;
using namespace theta::test;

TEST_CASE("noising agrees with numpy") {
  const Golden golden("diffusion_linear");
  for (const int t : {0, 1, 400, 999})
    in_every_precision([&]<class T>(T, Stream &s) {
      const Buffer<T> x0(s, golden.get<T>("x0")), eps(s, golden.get<T>("eps")),
          alpha_bar(s, golden.get<T>("alpha_bar")), xt(s, x0.size());
      const Buffer<int> times(s, std::vector<int>(3, t));
      q_sample<T>(s, xt, x0, eps, times, alpha_bar, 3, 8);
      CHECK(relative_error(xt.host(), golden.get<T>("x_t." + std::to_string(t))) <= golden_tolerance<T>);
    });
}

TEST_CASE("time embedding: every device, and by its definition") {
  same_on_every_device(1e-6, [&](Stream &s) {
    const Buffer<int> t(s, std::vector<int>{0, 1, 17, 999, 500});
    const Buffer<float> out(s, std::size_t(5 * 10));
    time_embedding<float>(s, out, t, 5, 10);
    const auto e = out.host();
    CHECK(e[0] == 0);
    CHECK(e[5] == 1);
    CHECK(e[30 + 2] == doctest::Approx(std::sin(999 * std::pow(10000.0, -0.4))).epsilon(1e-6));
    CHECK(e[30 + 7] == doctest::Approx(std::cos(999 * std::pow(10000.0, -0.4))).epsilon(1e-6));
    return Results{e};
  });
}

TEST_CASE("denoising steps: every device, with and without noise") {
  for (const double sigma : {0.0, 0.3})
    same_on_every_device(1e-6, [&](Stream &s) {
      const auto before = random_values<float>(3 * 21, 1), eps_host = random_values<float>(3 * 21, 2);
      const Buffer<float> z(s, before), eps(s, eps_host);
      denoise_step<float>(s, z, eps, 3, 21, {1.1, -0.2, sigma}, {8, Purpose::sample_noise, 40, 63});
      const double noise = sigma * normal(8, Purpose::sample_noise, 42, 63 + 5);
      CHECK(z.host()[47] == doctest::Approx(1.1 * before[47] - 0.2 * eps_host[47] + noise).epsilon(1e-5));
      return Results{z.host()};
    });
}
