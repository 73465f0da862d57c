#include "kernels/operations/batchnorm.h"
#include "kernels/operations/convert.h"
#include "tests/engine/bound.h"

using namespace theta;
using namespace theta::test;

TEST_CASE("batchnorm agrees with PyTorch, of vectors, sequences and images") {
  for (const char *name : {"batchnorm1d_bcl", "batchnorm1d_bc", "batchnorm2d"}) {
    CAPTURE(name);
    const Golden golden(name);
    in_every_precision([&]<class T>(T, Stream &s) {
      BatchNorm p{golden.side("x", 0), golden.side("x", 1), 1};
      for (std::size_t axis = 2; axis < golden.file().tensor("x").shape.size(); ++axis)
        p.length *= golden.side("x", axis);
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
      batchnorm_again<float>(s, y, static_cast<const float *>(x), mean, rstd, gamma, beta, p);
      CHECK(y.host() == trained); // bit for bit
      batchnorm_infer<float>(s, x, x, running_mean, running_var, gamma, beta, p);
      return Results{trained, d.host(), dgamma.host(), dbeta.host(), running_mean.host(), running_var.host(), x.host()};
    });
}

TEST_CASE("batchnorm1d in pieces of samples is that of the whole batch") {
  // Sums are added in another order: some 20,000 terms of rounding 2^-24 in float.
  for (const BatchNorm p : {BatchNorm{3, 5, 7, Activation::elu}, BatchNorm{7, 3, 68, Activation::leaky_relu},
                            BatchNorm{5, 2, 3404, Activation::elu}})
    for (const int most : {1, 2, 5})
      in_every_precision([&]<class T>(T, Stream &s) {
        CAPTURE(p.length);
        CAPTURE(most);
        const std::size_t c = std::size_t(p.channels), sample = c * std::size_t(p.length),
                          n = sample * std::size_t(p.batch);
        auto values = random_values<T>(n, 1);
        for (T &v : values)
          v += 3; // a mean that cancels
        const Buffer<T> x(s, values), dy(s, random_values<T>(n, 2)), gamma(s, random_values<T>(c, 3)),
            beta(s, random_values<T>(c, 4));
        const auto zeros = [&](std::size_t count) { return Buffer<T>(s, std::vector<T>(count)); };
        const Buffer<T> y(s, n), dx(s, n), mean(s, c), rstd(s, c), dgamma = zeros(c), dbeta = zeros(c),
                                                                   running_mean = zeros(c), running_var = zeros(c);
        batchnorm_forward<T>(s, y, mean, rstd, running_mean, running_var, x, gamma, beta, p);
        batchnorm_backward<T>(s, dx, dgamma, dbeta, dy, x, mean, rstd, gamma, beta, p);

        const Buffer<T> y2(s, n), dx2(s, n), mean2(s, c), rstd2(s, c),
            dgamma2 = zeros(c), dbeta2 = zeros(c), running_mean2 = zeros(c), running_var2 = zeros(c), moments(s, 2 * c),
            sums = zeros(2 * c);
        const auto pieces = [&](auto f) {
          for (int first = 0; first < p.batch; first += most) {
            BatchNorm piece = p;
            piece.batch = std::min(most, p.batch - first);
            f(first, std::size_t(first) * sample, piece);
          }
        };
        pieces([&](int first, std::size_t at, const BatchNorm &piece) {
          batchnorm_add_moments<T>(s, moments, x.get() + at, double(first) * p.length, piece);
        });
        batchnorm_settle<T>(s, mean2, rstd2, running_mean2, running_var2, moments, p);
        pieces([&](int, std::size_t at, const BatchNorm &piece) {
          batchnorm_again<T>(s, y2.get() + at, x.get() + at, mean2, rstd2, gamma, beta, piece);
          batchnorm_gradient_sums<T>(s, sums, dgamma2, dbeta2, dy.get() + at, x.get() + at, mean2, rstd2, gamma, beta,
                                     piece);
        });
        pieces([&](int, std::size_t at, const BatchNorm &piece) {
          batchnorm_gradient<T>(s, dx2.get() + at, sums, dy.get() + at, x.get() + at, mean2, rstd2, gamma, beta, piece,
                                double(p.batch) * p.length);
        });
        const double tolerance = golden_tolerance<T>;
        for (const auto &[found, whole] : {std::pair{&y2, &y},
                                           {&dx2, &dx},
                                           {&dgamma2, &dgamma},
                                           {&dbeta2, &dbeta},
                                           {&running_mean2, &running_mean},
                                           {&running_var2, &running_var}})
          CHECK(relative_error(found->host(), whole->host()) <= tolerance);
      });
}

TEST_CASE("batchnorm1d reads what was stored in bf16 as if it had been rounded in place") {
  const BatchNorm p{5, 3, 68, Activation::elu};
  for (const auto device : all_devices()) {
    CAPTURE(device.name());
    Stream s(device);
    const std::size_t c = 3, n = 5 * 3 * 68;
    const Buffer<float> x(s, random_values<float>(n, 1)), dy(s, random_values<float>(n, 2)),
        gamma(s, random_values<float>(c, 3)), beta(s, random_values<float>(c, 4)), mean(s, random_values<float>(c, 5)),
        rstd(s, random_values<float>(c, 6)), rounded(s, n);
    const Buffer<bf16> half(s, std::vector<bf16>(n));
    narrow(s, half, x, n), widen(s, rounded, half, n);
    const auto results = [&](const auto *stored) {
      const Buffer<float> y(s, n), dx(s, n), sums(s, std::vector<float>(2 * c)), dgamma(s, std::vector<float>(c)),
          dbeta(s, std::vector<float>(c));
      batchnorm_again<float>(s, y, stored, mean, rstd, gamma, beta, p);
      batchnorm_gradient_sums<float>(s, sums, dgamma, dbeta, dy, stored, mean, rstd, gamma, beta, p);
      batchnorm_gradient<float>(s, dx, sums, dy, stored, mean, rstd, gamma, beta, p, double(p.batch) * p.length);
      return Results{y.host(), dx.host(), sums.host(), dgamma.host(), dbeta.host()};
    };
    CHECK(results(half.get()) == results(static_cast<const float *>(rounded.get())));
  }
}

TEST_CASE("batchnorm: the backward of inference agrees with differences in double, and on every device") {
  for (const BatchNorm p : {BatchNorm{1, 1, 1, Activation::none}, BatchNorm{3, 5, 7, Activation::tanh},
                            BatchNorm{4, 3, 67, Activation::elu}}) {
    const std::size_t n = std::size_t(p.batch) * p.channels * p.length, c = std::size_t(p.channels);
    auto var = random_values<double>(c, 5);
    for (double &v : var)
      v = std::abs(v) + 0.2;
    const auto x = random_values<double>(n, 1), dy = random_values<double>(n, 2), gamma = random_values<double>(c, 3),
               beta = random_values<double>(c, 4), mean = random_values<double>(c, 6);
    const auto of = [&]<class T>(T, Stream &s, const std::vector<double> &at, std::vector<T> *gradient) {
      const auto there = [&](const std::vector<double> &v) { return Buffer<T>(s, std::vector<T>(v.begin(), v.end())); };
      const auto in = there(at), d = there(dy), scale = there(gamma), shift = there(beta), m = there(mean),
                 v = there(var), y = there(x);
      batchnorm_infer<T>(s, y, in, m, v, scale, shift, p);
      batchnorm_infer_backward<T>(s, d, d, in, m, v, scale, shift, p); // in place
      *gradient = d.host();
      return y.host();
    };
    Stream host{Device{}};
    std::vector<double> gradient;
    of(double(), host, x, &gradient);
    check_gradient(x, gradient, [&](const std::vector<double> &at) {
      std::vector<double> unused;
      const auto y = of(double(), host, at, &unused);
      double sum = 0;
      for (std::size_t i = 0; i < n; ++i)
        sum += dy[i] * y[i];
      return sum;
    });
    same_on_every_device(1e-5, [&](Stream &s) {
      std::vector<float> found;
      const auto y = of(float(), s, x, &found);
      return Results{y, found};
    });
  }
}
