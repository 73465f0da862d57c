#include "kernels/operations/add.h"
#include "kernels/operations/standardise.h"
#include "tests/check.h"

using namespace theta;
using namespace theta::test;

TEST_CASE("sums of tensors: every device, and by their definitions") {
  same_on_every_device(1e-6, [&](Stream &s) {
    const int batch = 3, channels = 5, length = 13;
    const std::size_t n = std::size_t(batch * channels * length), ne = std::size_t(batch * length);
    const auto x_host = random_values<float>(n, 1), e_host = random_values<float>(ne, 2);
    const Buffer<float> x(s, x_host), b(s, random_values<float>(n, 3)), e(s, e_host), y(s, n), z(s, n),
        de(s, random_values<float>(ne, 4));
    add_scaled<float>(s, y, x, b, -0.3, n);
    add_over_channels<float>(s, z, x, e, batch, channels, length);
    sum_over_channels_accumulate<float>(s, de, x, batch, channels, length);
    CHECK(z.host()[std::size_t((2 * channels + 3) * length + 7)] ==
          x_host[std::size_t((2 * channels + 3) * length + 7)] + e_host[std::size_t(2 * length + 7)]);
    float sum = random_values<float>(ne, 4)[std::size_t(length + 2)];
    for (int c = 0; c < channels; ++c)
      sum += x_host[std::size_t((channels + c) * length + 2)];
    CHECK(de.host()[std::size_t(length + 2)] == doctest::Approx(sum).epsilon(1e-6));
    return Results{y.host(), z.host(), de.host()};
  });
}

TEST_CASE("standardise and its inverse: every device, padding zero, back again") {
  same_on_every_device(1e-6, [&](Stream &s) {
    const std::size_t cols = 19, padded = 32;
    const auto x_host = random_values<float>(3 * cols, 1);
    std::vector<float> spread(cols);
    for (std::size_t i = 0; i < cols; ++i)
      spread[i] = 0.1f + float(i);
    const Buffer<float> x(s, x_host), mean(s, random_values<float>(cols, 2)), std(s, spread), y(s, 3 * padded),
        back(s, 3 * cols);
    standardise<float>(s, y, x, mean, std, 3, cols, padded);
    unstandardise<float>(s, back, y, mean, std, 3, cols, padded);
    CHECK(y.host()[padded + cols] == 0);
    CHECK(y.host()[padded + 4] == doctest::Approx((x_host[cols + 4] - random_values<float>(cols, 2)[4]) / spread[4]));
    CHECK(relative_error(back.host(), x_host) < 1e-6);
    return Results{y.host(), back.host()};
  });
}
