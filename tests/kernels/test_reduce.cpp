#include "kernels/operations/reduce.h"
#include "tests/check.h"
#include <numeric>

using namespace theta;
using namespace theta::test;

TEST_CASE("row and channel sums, maxima: every device, odd sizes") {
  for (const auto &[rows, cols] :
       {std::pair{1, 1}, {3, 257}, {70, 31}, {2, 1025}, {301, 132}, {31, 32}, {32, 33}, {33, 64}, {8, 255}, {9, 256}})
    same_on_every_device(1e-5, [&](Stream &s) {
      const std::size_t n = std::size_t(rows) * cols;
      const Buffer<float> x(s, random_values<float>(n, 1));
      const Buffer<float> sums(s, random_values<float>(std::size_t(rows), 2)), largest(s, std::size_t(rows));
      const Buffer<float> columns(s, random_values<float>(std::size_t(cols), 3)),
          channels(s, random_values<float>(std::size_t(rows), 4));
      row_sum<float>(s, sums, x, rows, std::size_t(cols), 0.25);
      row_max_abs<float>(s, largest, x, rows, std::size_t(cols));
      channel_sum<float>(s, columns, x, rows, cols, 1);
      channel_sum<float>(s, channels, x, 1, rows, cols);
      // Of bf16, the same sums of rounded numbers.
      const Buffer<bf16> rounded(s, narrowed<bf16>(x.host()));
      const Buffer<float> narrow_columns(s, std::vector<float>(std::size_t(cols))),
          narrow_channels(s, std::vector<float>(std::size_t(rows)));
      channel_sum<bf16>(s, narrow_columns, rounded, rows, cols, 1);
      channel_sum<bf16>(s, narrow_channels, rounded, 1, rows, cols);
      double expected = 0;
      for (int r = 0; r < rows; ++r)
        expected += to_float(rounded.host()[std::size_t(r * cols + cols - 1)]);
      CHECK(narrow_columns.host().back() == doctest::Approx(expected).epsilon(1e-5));
      return Results{sums.host(),     largest.host(),        columns.host(),
                     channels.host(), narrow_columns.host(), narrow_channels.host()};
    });
}

TEST_CASE("row_max_abs answers infinity for what is not finite") {
  for (const auto device : all_devices()) {
    Stream s(device);
    const float inf = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
    const Buffer<float> x(s, std::vector<float>{1, -7, 2, nan, 3, 4, -inf, 0, 1}), out(s, std::size_t(3));
    row_max_abs<float>(s, out, x, 3, 3);
    CHECK(out.host() == std::vector<float>{7, inf, inf});
  }
}

TEST_CASE("global norm and mean squared error: every device, and the same from run to run") {
  for (const std::size_t n : {std::size_t(1), std::size_t(259), std::size_t(70001)}) {
    CAPTURE(n);
    const auto make = [&](Stream &s) {
      const Buffer<float> x(s, random_values<float>(n, 1)), target(s, random_values<float>(n, 2));
      const Buffer<float> norm(s, std::size_t(1)), loss(s, std::size_t(1)), dy(s, n), workspace(s, partial_sums);
      global_norm<float>(s, norm, x, n, workspace);
      mean_squared_error<float>(s, loss, dy, x, target, n, workspace);
      return Results{norm.host(), loss.host(), dy.host()};
    };
    same_on_every_device(1e-5, make);
    Stream s{Device{}};
    CHECK(make(s) == make(s));
    const auto x = random_values<double>(n, 1);
    CHECK(make(s)[0][0] ==
          doctest::Approx(std::sqrt(std::inner_product(x.begin(), x.end(), x.begin(), 0.0))).epsilon(1e-5));
  }
}
