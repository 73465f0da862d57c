#include "kernels/operations/transpose.h"
#include "tests/check.h"

using namespace theta;
using namespace theta::test;

TEST_CASE("transpose: rows become columns, written or added to, by definition, on every device") {
  for (const auto &[batch, rows, cols] : {std::tuple{1, 1, 1}, {3, 33, 7}, {2, 17, 65}, {1, 64, 32}}) {
    CAPTURE(rows);
    const auto r = std::size_t(rows), c = std::size_t(cols), n = std::size_t(batch) * r * c;
    const auto x = random_values<float>(n, 1), before = random_values<float>(n, 2);
    std::vector<float> y(n), sum = before;
    for (std::size_t i = 0; i < n; ++i) {
      const std::size_t to = i / (r * c) * (r * c) + i % c * r + i / c % r;
      y[to] = x[i], sum[to] += x[i];
    }
    same_on_every_device(0, [&, batch = batch, rows = rows, cols = cols](Stream &s) {
      const Buffer<float> from(s, x), to(s, n), added(s, before);
      transpose<float>(s, to, from, batch, rows, cols);
      transpose<float>(s, added, from, batch, rows, cols, true);
      CHECK(to.host() == y);
      CHECK(added.host() == sum);
      return Results{to.host(), added.host()};
    });
  }
}
