#include "kernels/operations/layernorm.h"
#include "tests/check.h"

using namespace theta;
using namespace theta::test;

namespace {

// Forward, and the backward in place.
template <class T> Results layernorm_results(Stream &s, int rows, int cols) {
  const std::size_t n = std::size_t(rows) * cols, c = std::size_t(cols), r = std::size_t(rows);
  const Buffer<T> x(s, narrowed<T>(random_values<float>(n, 1, 3))), d(s, narrowed<T>(random_values<float>(n, 2)));
  const Buffer<T> y(s, std::vector<T>(n));
  const Buffer<float> gamma(s, random_values<float>(c, 3)), beta(s, random_values<float>(c, 4));
  const Buffer<float> mean(s, r), rstd(s, r), dgamma(s, random_values<float>(c, 5)),
      dbeta(s, random_values<float>(c, 6));
  layernorm_forward<T>(s, y, mean, rstd, x, gamma, beta, rows, cols);
  layernorm_backward<T>(s, d, dgamma, dbeta, d, x, mean, rstd, gamma, rows, cols);
  return {widened(y.host()), widened(d.host()), dgamma.host(), dbeta.host(), mean.host(), rstd.host()};
}

} // namespace

TEST_CASE("layernorm agrees with PyTorch") {
  const Golden golden("layernorm");
  in_every_precision([&]<class T>(T, Stream &s) {
    const int cols = golden.side("gamma", 0);
    const auto x_host = golden.get<T>("x");
    const int rows = int(x_host.size()) / cols;
    const std::size_t c = std::size_t(cols), r = std::size_t(rows);
    const Buffer<T> x(s, x_host), gamma(s, golden.get<T>("gamma")), beta(s, golden.get<T>("beta")),
        dy(s, golden.get<T>("dy"));
    const Buffer<T> y(s, x.size()), dx(s, x.size()), mean(s, r), rstd(s, r), dgamma(s, std::vector<T>(c)),
        dbeta(s, std::vector<T>(c));
    layernorm_forward<T>(s, y, mean, rstd, x, gamma, beta, rows, cols);
    layernorm_backward<T>(s, dx, dgamma, dbeta, dy, x, mean, rstd, gamma, rows, cols);
    CHECK(relative_error(y.host(), golden.get<T>("y")) <= golden_tolerance<T>);
    CHECK(relative_error(dx.host(), golden.get<T>("dx")) <= golden_tolerance<T>);
    CHECK(relative_error(dgamma.host(), golden.get<T>("dgamma")) <= golden_tolerance<T>);
    CHECK(relative_error(dbeta.host(), golden.get<T>("dbeta")) <= golden_tolerance<T>);
  });
}

TEST_CASE("layernorm: every device, warps and blocks a row, vectors and single elements, in place") {
  for (const auto &[rows, cols] :
       {std::pair{1, 1}, {37, 7}, {67, 96}, {19, 520}, {5, 768}, {3, 1000}, {9, 1031}, {3, 2048}, {700, 24}}) {
    CAPTURE(rows);
    CAPTURE(cols);
    same_on_every_device(1e-5,
                         [&, rows = rows, cols = cols](Stream &s) { return layernorm_results<float>(s, rows, cols); });
    // Results in bf16 may fall on either side of a tie: one unit in the last place, 2^-7 of the largest at most.
    same_on_every_device(0x1p-7,
                         [&, rows = rows, cols = cols](Stream &s) { return layernorm_results<bf16>(s, rows, cols); });
  }
}

TEST_CASE("layernorm in bf16 differs from fp32 by its rounding") {
  for (const auto device : all_devices()) {
    Stream s(device);
    const auto exact = layernorm_results<float>(s, 33, 768), found = layernorm_results<bf16>(s, 33, 768);
    for (std::size_t i = 0; i < exact.size(); ++i)
      CHECK(norm_error(found[i], exact[i]) <= 0x1p-7); // inputs and outputs each rounded to within 2^-9 of themselves
  }
}

TEST_CASE("layernorm's gradient agrees with central differences in double") {
  Stream s{Device{}};
  const int rows = 3, cols = 5;
  const auto x = random_values<double>(15, 1), gamma = random_values<double>(5, 2), beta = random_values<double>(5, 3),
             dy = random_values<double>(15, 4);
  const auto loss = [&](const std::vector<double> &at, const std::vector<double> &g) {
    std::vector<double> y(15), mean(3), rstd(3);
    layernorm_forward<double>(s, y.data(), mean.data(), rstd.data(), at.data(), g.data(), beta.data(), rows, cols);
    double sum = 0;
    for (std::size_t i = 0; i < 15; ++i)
      sum += y[i] * dy[i];
    return sum;
  };
  std::vector<double> y(15), mean(3), rstd(3), dx(15), dgamma(5), dbeta(5);
  layernorm_forward<double>(s, y.data(), mean.data(), rstd.data(), x.data(), gamma.data(), beta.data(), rows, cols);
  layernorm_backward<double>(s, dx.data(), dgamma.data(), dbeta.data(), dy.data(), x.data(), mean.data(), rstd.data(),
                             gamma.data(), rows, cols);
  const double h = 1e-5; // error h²·|f'''|/6, about 1e-10; rounding 1e-16/h = 1e-11
  for (std::size_t i = 0; i < 15; ++i) {
    auto up = x, down = x;
    up[i] += h, down[i] -= h;
    CHECK(std::abs(dx[i] - (loss(up, gamma) - loss(down, gamma)) / (2 * h)) <= 1e-7);
  }
  for (std::size_t i = 0; i < 5; ++i) {
    auto up = gamma, down = gamma;
    up[i] += h, down[i] -= h;
    CHECK(std::abs(dgamma[i] - (loss(x, up) - loss(x, down)) / (2 * h)) <= 1e-7);
  }
}

TEST_CASE("layernorm refuses rows wider than a block holds") {
  for (const auto device : all_devices())
    if (device.backend == Backend::cuda) {
      Stream s(device);
      CHECK_THROWS_AS(layernorm_results<float>(s, 1, 8193), InputError);
    }
}
