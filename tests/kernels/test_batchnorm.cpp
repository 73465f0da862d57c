#include "kernels/batchnorm.h"
#include "tests/check.h"

using namespace theta;
using namespace theta::test;

TEST_CASE("batchnorm1d agrees with PyTorch") {
  for (const char *name : {"batchnorm1d_bcl", "batchnorm1d_bc"}) {
    CAPTURE(name);
    const Golden golden(name);
    in_every_precision([&]<class T>(T, Stream &s) {
      const bool has_length = golden.file().tensor("x").shape.size() == 3;
      const BatchNorm p{golden.side("x", 0), golden.side("x", 1), has_length ? golden.side("x", 2) : 1};
      const auto channels = std::size_t(p.channels);
      const Buffer<T> x(s, golden.get<T>("x")), gamma(s, golden.get<T>("gamma")), beta(s, golden.get<T>("beta")),
          dy(s, golden.get<T>("dy")), running_mean(s, golden.get<T>("running_mean")),
          running_var(s, golden.get<T>("running_var"));
      const Buffer<T> y(s, x.size()), mean(s, channels), rstd(s, channels), dx(s, x.size());
      const Buffer<T> dgamma(s, std::vector<T>(channels)), dbeta(s, std::vector<T>(channels));
      batchnorm_infer<T>(s, y, x, running_mean, running_var, gamma, beta, p);
      CHECK(relative_error(y.host(), golden.get<T>("y_eval")) <= golden_tolerance<T>);
      batchnorm_forward<T>(s, y, mean, rstd, running_mean, running_var, x, gamma, beta, p);
      batchnorm_backward<T>(s, dx, dgamma, dbeta, dy, x, mean, rstd, gamma, beta, p);
      CHECK(relative_error(y.host(), golden.get<T>("y")) <= golden_tolerance<T>);
      CHECK(relative_error(dx.host(), golden.get<T>("dx")) <= golden_tolerance<T>);
      CHECK(relative_error(dgamma.host(), golden.get<T>("dgamma")) <= golden_tolerance<T>);
      CHECK(relative_error(dbeta.host(), golden.get<T>("dbeta")) <= golden_tolerance<T>);
      CHECK(relative_error(running_mean.host(), golden.get<T>("running_mean_after")) <= golden_tolerance<T>);
      CHECK(relative_error(running_var.host(), golden.get<T>("running_var_after")) <= golden_tolerance<T>);
    });
  }
}

TEST_CASE("batchnorm1d with activation: every device, odd sizes, in place") {
  for (const BatchNorm p : {BatchNorm{2, 1, 1, Activation::none}, BatchNorm{3, 5, 7, Activation::elu},
                            BatchNorm{11, 3, 67, Activation::leaky_relu}, BatchNorm{37, 66, 1, Activation::elu},
                            BatchNorm{3, 2, 2737, Activation::elu}, BatchNorm{5, 2, 3404, Activation::leaky_relu}})
    same_on_every_device(1e-5, [&](Stream &s) {
      const std::size_t n = std::size_t(p.batch) * p.channels * p.length, c = std::size_t(p.channels);
      const Buffer<float> x(s, random_values<float>(n, 1)), gamma(s, random_values<float>(c, 2)),
          beta(s, random_values<float>(c, 3));
      const Buffer<float> running_mean(s, random_values<float>(c, 4)), running_var(s, std::vector<float>(c, 0.7f));
      const Buffer<float> y(s, n), d(s, random_values<float>(n, 5)), mean(s, c), rstd(s, c);
      const Buffer<float> dgamma(s, random_values<float>(c, 6)), dbeta(s, random_values<float>(c, 7));
      batchnorm_forward<float>(s, y, mean, rstd, running_mean, running_var, x, gamma, beta, p);
      batchnorm_backward<float>(s, d, dgamma, dbeta, d, x, mean, rstd, gamma, beta, p);
      const auto trained = y.host();
      batchnorm_again<float>(s, y, x, mean, rstd, gamma, beta, p);
      CHECK(y.host() == trained); // bit for bit
      batchnorm_infer<float>(s, x, x, running_mean, running_var, gamma, beta, p);
      return Results{trained, d.host(), dgamma.host(), dbeta.host(), running_mean.host(), running_var.host(), x.host()};
    });
}
