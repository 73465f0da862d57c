#include "kernels/operations/windows.h"
#include "tests/check.h"
#include <set>

using namespace theta;
using namespace theta::test;

namespace {

// Three classes; every code tells its class and, but for what is beyond 80, its place.
struct Written {
  std::vector<std::uint32_t> begin{0, 9, 49, 90};
  std::vector<std::uint8_t> code;
  Written() {
    for (std::uint32_t c = 0; c < 3; ++c)
      for (std::uint32_t i = begin[c]; i < begin[c + 1]; ++i)
        code.push_back(std::uint8_t(80 * c + (i - begin[c])));
  }
};

} // namespace

TEST_CASE("windows: neighbours of one class, drawn by the shares and anywhere in it, on every device") {
  const Written text;
  const std::vector<float> share{0.25f, 0.75f, 0, 0, 0, 1};
  const int networks = 2, batch = 1500, context = 7;
  in_every_precision([&]<class T>(T, Stream &s) {
    const Buffer<std::uint8_t> code(s, text.code), next(s, std::size_t(networks * batch * context));
    const Buffer<std::uint32_t> begin(s, text.begin);
    const Buffer<float> shares(s, share);
    const Buffer<T> x(s, std::size_t(networks * batch * context));
    gather_windows<T>(s, x, next, {code, begin, 3}, shares, {networks, batch, context, 5, 11, 3});
    const auto seen = x.host();
    const auto follows = next.host();
    std::array<std::array<int, 3>, 2> drawn{};
    std::set<int> places; // of the first class's windows
    bool are_neighbours = true;
    for (int w = 0; w < networks * batch; ++w) {
      const std::size_t at = std::size_t(w * context);
      const int c = int(seen[at]) / 80, place = int(seen[at]) % 80;
      ++drawn[std::size_t(w / batch)][std::size_t(c)];
      if (c == 0)
        places.insert(place);
      for (int t = 0; t < context; ++t)
        are_neighbours &= int(seen[at + std::size_t(t)]) == 80 * c + place + t &&
                          int(follows[at + std::size_t(t)]) == 80 * c + place + t + 1;
    }
    CHECK(are_neighbours);
    CHECK(places == std::set<int>{0, 1}); // of 9 characters, windows of 7 and the one behind
    CHECK(drawn[1] == std::array{0, 0, batch});
    CHECK(drawn[0][2] == 0);
    CHECK(std::abs(drawn[0][0] - batch / 4) < 5 * std::sqrt(batch * 0.25 * 0.75)); // five deviations
  });
}

TEST_CASE("windows: another step, network or seed draws others; the same ones the same") {
  const Written text;
  const auto drawn = [&](std::uint64_t seed, std::uint32_t stream, std::uint64_t step) {
    Stream s{Device{}};
    const Buffer<std::uint8_t> code(s, text.code), next(s, std::size_t(8 * 5));
    const Buffer<std::uint32_t> begin(s, text.begin);
    const Buffer<float> shares(s, std::vector<float>{0, 0.5f, 0.5f}), x(s, std::size_t(8 * 5));
    gather_windows<float>(s, x, next, {code, begin, 3}, shares, {1, 8, 5, seed, stream, step});
    return x.host();
  };
  CHECK(drawn(1, 2, 3) == drawn(1, 2, 3));
  CHECK(drawn(1, 2, 3) != drawn(2, 2, 3));
  CHECK(drawn(1, 2, 3) != drawn(1, 3, 3));
  CHECK(drawn(1, 2, 3) != drawn(1, 2, 4));
}
