#include "kernels/operations/lookup.h"
#include "tests/check.h"
#include <limits>

using namespace theta;
using namespace theta::test;

namespace {

std::vector<double> some_numbers(std::size_t n, int below) {
  std::vector<double> all;
  for (std::size_t i = 0; i < n; ++i)
    all.push_back(double(philox(3, Purpose::test, 0, i).word[0] % std::uint32_t(below)));
  return all;
}

} // namespace

TEST_CASE("lookup: rows by their numbers and their gradients, by definition, on every device") {
  for (const auto &[networks, rows, vocabulary, width, shared] :
       {std::tuple{1, 1, 1, 1, false}, {2, 37, 5, 19, false}, {3, 8, 40, 33, true}}) {
    CAPTURE(width);
    const auto table_stride = std::size_t(vocabulary * width + 3);
    const Lookup p{networks, rows, vocabulary, width, table_stride, std::size_t(shared ? 0 : rows)};
    const std::size_t elements = std::size_t(networks * rows * width), tables = std::size_t(networks) * table_stride;
    const auto ids = some_numbers(std::size_t(shared ? rows : networks * rows), vocabulary);
    const auto table = random_values<double>(tables, 1), dy = random_values<double>(elements, 2),
               before = random_values<double>(tables, 4);
    std::vector<double> y(elements), dtable = before;
    for (int n = 0; n < networks; ++n)
      for (int r = 0; r < rows; ++r)
        for (int c = 0; c < width; ++c) {
          const std::size_t id = std::size_t(ids[std::size_t(shared ? r : n * rows + r)]),
                            at = std::size_t(n) * table_stride + id * std::size_t(width) + std::size_t(c),
                            of = std::size_t((n * rows + r) * width + c);
          y[of] = table[at], dtable[at] += dy[of];
        }
    in_every_precision([&, p = p](auto t, Stream &s) {
      using T = decltype(t);
      const Buffer<T> numbers(s, std::vector<T>(ids.begin(), ids.end())),
          from(s, std::vector<T>(table.begin(), table.end())), to(s, elements),
          d(s, std::vector<T>(dy.begin(), dy.end())), gradient(s, std::vector<T>(before.begin(), before.end()));
      lookup_forward<T>(s, to, from, numbers, p);
      lookup_backward<T>(s, gradient, d, numbers, p);
      CHECK(relative_error(to.host(), y) <= (sizeof(T) == 4 ? 1e-7 : 0)); // rounded to float, and no more
      CHECK(relative_error(gradient.host(), dtable) <= (sizeof(T) == 4 ? 1e-6 : 1e-15));
    });
  }
}

TEST_CASE("lookup: what is no number of the vocabulary is the nearest one, on every device") {
  same_on_every_device(0, [](Stream &s) {
    const Buffer<float> id(s, std::vector<float>{-3, 0, 1.9f, 2, 3, 1e30f, std::numeric_limits<float>::quiet_NaN()}),
        table(s, std::vector<float>{10, 11, 12}), y(s, std::size_t(7)), d(s, std::vector<float>(7, 1.0f)),
        gradient(s, std::vector<float>(3));
    const Lookup p{1, 7, 3, 1, 3, 7};
    lookup_forward<float>(s, y, table, id, p);
    lookup_backward<float>(s, gradient, d, id, p);
    CHECK(y.host() == std::vector<float>{10, 10, 11, 12, 12, 12, 10});
    CHECK(gradient.host() == std::vector<float>{3, 1, 3});
    return Results{y.host(), gradient.host()};
  });
}
