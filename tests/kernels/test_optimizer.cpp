#include "kernels/operations/optimizer.h"
#include "kernels/operations/reduce.h"
#include "tests/check.h"

using namespace theta;
using namespace theta::test;

namespace {

// Ten steps of step(p, gradient, t) from p0, each compared with the golden trajectory.
template <class T, class F> void follow(const Golden &golden, Stream &s, F step) {
  const std::size_t n = std::size_t(golden.side("p0", 0));
  const auto gradients = golden.get<T>("gradients"), trajectory = golden.get<T>("p");
  const Buffer<T> p(s, golden.get<T>("p0"));
  for (std::size_t t = 0; t < 10; ++t) {
    CAPTURE(t);
    const Buffer<T> g(
        s, std::vector<T>(gradients.begin() + std::ptrdiff_t(t * n), gradients.begin() + std::ptrdiff_t((t + 1) * n)));
    step(p.get(), g.get(), n, long(t) + 1);
    const std::vector<T> expected(trajectory.begin() + std::ptrdiff_t(t * n),
                                  trajectory.begin() + std::ptrdiff_t((t + 1) * n));
    CHECK(relative_error(p.host(), expected) <= golden_tolerance<T>);
    CHECK(g.host() == std::vector<T>(n)); // cleared for the next backward
  }
}

} // namespace

TEST_CASE("Adam and AdamW agree with PyTorch") {
  in_every_precision([&]<class T>(T, Stream &s) {
    for (const bool decoupled : {false, true}) {
      const Golden golden(decoupled ? "optimizer_adamw" : "optimizer_adam");
      const std::size_t n = std::size_t(golden.side("p0", 0));
      const Buffer<T> m(s, std::vector<T>(n)), v(s, std::vector<T>(n));
      follow<T>(golden, s, [&](T *p, T *g, std::size_t, long t) {
        Adam o{.lr = 1e-2, .decoupled = decoupled, .step = t};
        if (decoupled)
          o.beta2 = 0.95, o.weight_decay = 0.1;
        else
          o.weight_decay = 1e-3;
        adam_step<T>(s, p, m, v, nullptr, g, n, o);
      });
    }
  });
}

TEST_CASE("SGD with Nesterov momentum agrees with PyTorch") {
  in_every_precision([&]<class T>(T, Stream &s) {
    const Golden golden("optimizer_sgd_nesterov");
    const Buffer<T> u(s, std::vector<T>(std::size_t(golden.side("p0", 0))));
    follow<T>(golden, s,
              [&](T *p, T *g, std::size_t n, long) { sgd_step<T>(s, p, u, g, n, {.lr = 0.1, .weight_decay = 5e-4}); });
  });
}

TEST_CASE("clipping by the global norm agrees with PyTorch") {
  const Golden golden("clip_global_norm");
  in_every_precision([&]<class T>(T, Stream &s) {
    const Buffer<T> g(s, golden.get<T>("gradient")), norm(s, std::size_t(1)), workspace(s, partial_sums);
    global_norm<T>(s, norm, g, g.size(), workspace);
    clip_gradient<T>(s, g, g.size(), {norm.get(), 0.75});
    CHECK(relative_error(norm.host(), golden.get<T>("norm")) <= golden_tolerance<T>);
    CHECK(relative_error(g.host(), golden.get<T>("clipped")) <= golden_tolerance<T>);
  });
}

TEST_CASE("clipping inside the optimiser is clipping before it; the ema follows the parameters") {
  same_on_every_device(1e-6, [&](Stream &s) {
    const std::size_t n = 333;
    const auto gradient = random_values<float>(n, 1, 3);
    const Buffer<float> norm(s, std::size_t(1)), workspace(s, partial_sums);
    std::vector<std::vector<float>> results;
    for (const bool inside : {true, false}) {
      const Buffer<float> p(s, random_values<float>(n, 2)), m(s, std::vector<float>(n)), v(s, std::vector<float>(n)),
          g(s, gradient), ema(s, random_values<float>(n, 3));
      global_norm<float>(s, norm, g, n, workspace);
      if (!inside)
        clip_gradient<float>(s, g, n, {norm.get(), 0.5});
      adam_step<float>(s, p, m, v, ema, g, n,
                       {.lr = 0.1, .ema_decay = 0.9, .clip = inside ? Clip{norm.get(), 0.5} : Clip{}});
      const auto now = p.host(), average = ema.host(), before = random_values<float>(n, 3);
      for (std::size_t i = 0; i < n; ++i)
        CHECK(average[i] == doctest::Approx(0.9 * before[i] + 0.1 * now[i]).epsilon(1e-5));
      results.push_back(now);
    }
    CHECK(results[0] == results[1]);
    return results;
  });
}

TEST_CASE("AdamW with average and rounded copy: every device, aligned and not") {
  for (const std::size_t shift : {0, 1})
    same_on_every_device(1e-6, [&](Stream &s) {
      const std::size_t n = 1039;
      const Buffer<float> p(s, random_values<float>(n, 1)), m(s, random_values<float>(n, 2)),
          v(s, std::vector<float>(n, 0.3f)), g(s, random_values<float>(n, 3)), ema(s, random_values<float>(n, 4));
      const Buffer<bf16> copy(s, std::vector<bf16>(n));
      adam_step<float>(s, p + shift, m + shift, v + shift, ema + shift, g + shift, n - shift,
                       {.lr = 0.1, .weight_decay = 0.01, .step = 3, .ema_decay = 0.9}, copy.get() + shift);
      const auto now = p.host();
      const auto narrow = copy.host();
      for (std::size_t i = shift; i < n; ++i)
        CHECK(narrow[i].bits == to_bf16(now[i]).bits);
      return Results{now, m.host(), v.host(), ema.host(), g.host()};
    });
}
