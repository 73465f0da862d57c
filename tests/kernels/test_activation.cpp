#include "kernels/operations/activation.h"
#include "tests/check.h"

using namespace theta;
using namespace theta::test;

TEST_CASE("activations agree with PyTorch") {
  const Golden golden("activations");
  const std::pair<const char *, Activation> all[] = {
      {"relu", Activation::relu},     {"leaky_relu", Activation::leaky_relu},
      {"elu", Activation::elu},       {"silu", Activation::silu},
      {"gelu_erf", Activation::gelu}, {"gelu_tanh", Activation::gelu_tanh},
      {"tanh", Activation::tanh},     {"sine30", Activation::sine}};
  for (const auto &[name, act] : all) {
    CAPTURE(name);
    in_every_precision([&]<class T>(T, Stream &s) {
      const BiasAct p{.groups = 1, .rows = golden.side("x", 0), .cols = golden.side("x", 1), .act = act};
      const auto x_host = golden.get<T>("x");
      const Buffer<T> x(s, x_host), y(s, x_host.size()), dx(s, x_host.size()),
          dy(s, golden.get<T>(std::string(name) + ".dy"));
      const Buffer<T> bias(s, std::vector<T>(std::size_t(p.cols))), dbias(s, std::vector<T>(std::size_t(p.cols)));
      bias_act_forward<T>(s, y, x, bias, p);
      bias_act_backward<T>(s, dx, dbias, dy, x, bias, p);
      // sin(30 x): an input rounded to 24 bits moves the angle by up to 30·|x|·2^-24, which no float path can undo.
      const double tolerance =
          act == Activation::sine && std::is_same_v<T, float> ? 30 * 8 * 0x1p-24 : golden_tolerance<T>;
      CHECK(relative_error(y.host(), golden.get<T>(std::string(name) + ".y")) <= tolerance);
      CHECK(relative_error(dx.host(), golden.get<T>(std::string(name) + ".dx")) <= tolerance);
    });
  }
}

TEST_CASE("bias and activation: every device, groups, odd sizes, fp32 and bf16, with and without a bias") {
  for (const BiasAct p : {BiasAct{1, 1, 1, 0, Activation::silu}, BiasAct{3, 7, 33, 40, Activation::elu},
                          BiasAct{2, 37, 67, 67, Activation::gelu}, BiasAct{2, 130, 5, 5, Activation::tanh},
                          BiasAct{1, 300, 132, 132, Activation::silu}, BiasAct{2, 70, 8, 12, Activation::relu},
                          BiasAct{2, 9, 36, 36, Activation::sine, 7.5f}})
    for (const bool with_bias : {true, false}) {
      const auto results = [&]<class T>(T, Stream &s) {
        const std::size_t n = std::size_t(p.groups) * p.rows * p.cols, nb = (p.groups - 1) * p.bias_stride + p.cols;
        const Buffer<T> x(s, narrowed<T>(random_values<float>(n, 1))), dy(s, narrowed<T>(random_values<float>(n, 2))),
            bias(s, narrowed<T>(random_values<float>(nb, 3)));
        const Buffer<T> y(s, n), dx(s, n);
        const Buffer<float> dbias(s, random_values<float>(nb, 4));
        const T *added = with_bias ? bias.get() : nullptr;
        bias_act_forward<T>(s, y, x, added, p);
        bias_act_backward<T>(s, dx, dbias, dy, x, added, p);
        const auto in = widened(x.host()), by = widened(bias.host()), out = widened(y.host());
        for (std::size_t i = 0; i < n; i += 13) {
          const std::size_t group = i / (std::size_t(p.rows) * p.cols) * p.bias_stride;
          const double sum = in[i] + (with_bias ? double(by[group + i % std::size_t(p.cols)]) : 0.0);
          CHECK(
              out[i] ==
              doctest::Approx(activate(p.act, sum, double(p.omega))).epsilon(std::is_same_v<T, float> ? 1e-4 : 0x1p-7));
        }
        return Results{out, widened(dx.host()), dbias.host()};
      };
      same_on_every_device(1e-5, [&](Stream &s) { return results(float{}, s); });
      same_on_every_device(0x1p-7, [&](Stream &s) { return results(bf16{}, s); });
    }
}

TEST_CASE("activation slopes agree with central differences in double") {
  for (const auto act : {Activation::none, Activation::relu, Activation::leaky_relu, Activation::elu, Activation::silu,
                         Activation::gelu, Activation::gelu_tanh, Activation::tanh, Activation::sine})
    for (const double x : {-2.3, -0.7, -0.01, 0.02, 0.9, 3.1}) {
      CAPTURE(name_of(act));
      CAPTURE(x);
      const double h = 1e-6; // error: h²·|f'''|/6 <= 1e-12·27000/6 for sine, and rounding 1e-16/h
      CHECK(activation_slope(act, x) ==
            doctest::Approx((activate(act, x + h) - activate(act, x - h)) / (2 * h)).epsilon(1e-7));
    }
}

TEST_CASE("activations are known by name") {
  CHECK(activation_named("silu") == Activation::silu);
  CHECK(std::string(name_of(Activation::leaky_relu)) == "leaky_relu");
  CHECK_THROWS_AS(activation_named("rellu"), InputError);
}
