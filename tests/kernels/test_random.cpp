#include "kernels/operations/gather.h"
#include "kernels/operations/random.h"
#include "tests/check.h"
#include <numeric>
#include <set>

using namespace theta;
using namespace theta::test;

TEST_CASE("philox gives the published bits") { // known answers of Random123 for philox4x32-10
  const auto words = [](Bits4 b) { return std::vector<std::uint32_t>(b.word, b.word + 4); };
  CHECK(words(philox_rounds({{0, 0, 0, 0}}, 0, 0)) ==
        std::vector<std::uint32_t>{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  const std::uint32_t ones = 0xffffffff;
  CHECK(words(philox_rounds({{ones, ones, ones, ones}}, ones, ones)) ==
        std::vector<std::uint32_t>{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
  CHECK(words(philox_rounds({{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}}, 0xa4093822, 0x299f31d0)) ==
        std::vector<std::uint32_t>{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}

TEST_CASE("normal numbers have the moments of the normal distribution") {
  Stream s{Device{}};
  const std::size_t n = 200'000;
  const Buffer<double> x(s, n);
  fill_normal<double>(s, x, 4, n / 4, 1, {7, Purpose::test});
  double m1 = 0, m2 = 0, m3 = 0, m4 = 0;
  for (const double v : x.host())
    m1 += v / n, m2 += v * v / n, m3 += v * v * v / n, m4 += v * v * v * v / n;
  // Five standard errors each: √(1, 2, 15, 96) / √n.
  CHECK(std::abs(m1) < 5 * 1 / std::sqrt(n));
  CHECK(std::abs(m2 - 1) < 5 * std::sqrt(2) / std::sqrt(n));
  CHECK(std::abs(m3) < 5 * std::sqrt(15) / std::sqrt(n));
  CHECK(std::abs(m4 - 3) < 5 * std::sqrt(96) / std::sqrt(n));
}

TEST_CASE("fills: every device; an element does not depend on the buffer's size") {
  same_on_every_device(1e-6, [&](Stream &s) {
    const Draws d{99, Purpose::test, 5, 11};
    const Buffer<float> x(s, std::size_t(3 * 37)), u(s, std::size_t(3 * 37)), bound(s, random_values<float>(37, 1));
    fill_normal<float>(s, x, 3, 37, 0.5, d);
    fill_uniform<float>(s, u, bound, 3, 37, d);
    CHECK(x.host()[37 + 2] == doctest::Approx(0.5f * normal(99, Purpose::test, 6, 13)).epsilon(1e-6));
    return Results{x.host(), u.host()};
  });
}

TEST_CASE("a row of normal numbers made several at a time is the numbers one by one, bit by bit") {
  Stream s{Device{}};
  for (const std::uint64_t first : {0ull, 1ull, 14ull, 0x1FFFFFFF9ull}) // pairs' indices pass 2³²
    for (const std::size_t n : {1ul, 2ul, 17ul, 4099ul}) {
      const Buffer<float> x(s, 2 * n);
      fill_normal<float>(s, x, 2, n, 0.25, {0x123456789abcdefull, Purpose::test, 3, first});
      const auto found = x.host();
      for (std::size_t i = 0; i < 2 * n; ++i)
        CHECK(found[i] == 0.25f * normal(0x123456789abcdefull, Purpose::test, 3 + std::uint32_t(i / n), first + i % n));
    }
}

TEST_CASE("every epoch is a permutation, and no two epochs or streams the same") {
  for (const std::uint32_t n : {1u, 2u, 3u, 5u, 31u, 256u, 1000u}) {
    CAPTURE(n);
    std::vector<std::vector<std::uint32_t>> orders;
    for (std::uint32_t stream = 0; stream < 2; ++stream)
      for (std::uint64_t epoch = 0; epoch < 2; ++epoch) {
        std::vector<std::uint32_t> order(n), sorted, identity(n);
        for (std::uint32_t i = 0; i < n; ++i)
          order[i] = shuffled(3, Purpose::test, stream, epoch * n + i, n);
        sorted = order;
        std::sort(sorted.begin(), sorted.end());
        std::iota(identity.begin(), identity.end(), 0);
        CHECK(sorted == identity);
        if (n >= 31)
          for (const auto &other : orders)
            CHECK(order != other);
        orders.push_back(order);
      }
  }
}

TEST_CASE("shuffled orders are unbiased: where element 0 lands is uniform") {
  const std::uint32_t n = 10;
  std::vector<int> count(n);
  for (std::uint32_t stream = 0; stream < 20'000; ++stream)
    ++count[shuffled(3, Purpose::test, stream, 0, n)];
  double chi_squared = 0;
  for (const int c : count)
    chi_squared += (c - 2000.0) * (c - 2000.0) / 2000.0;
  CHECK(chi_squared < 33.7); // 9 degrees of freedom: exceeded with probability 1e-4
}

TEST_CASE("rows: strided, on every device") {
  same_on_every_device(0, [](Stream &s) {
    const int rows = 36, cols = 19;
    const auto values = random_values<float>(rows * cols, 1);
    const Buffer<float> from(s, values), placed(s, std::vector<float>(std::size_t(rows * 31)));
    copy_rows<float>(s, placed.get() + 7, 31, from, cols, rows, cols);
    const auto there = placed.host();
    for (int r = 0; r < rows; ++r) {
      CHECK(there[std::size_t(r * 31 + 7 + cols - 1)] == values[std::size_t(r * cols + cols - 1)]);
      CHECK(there[std::size_t(r * 31 + 6)] == 0);
    }
    copy_rows<float>(s, placed, 31, from, 0, rows, 3); // one row again and again
    CHECK(placed.host()[35 * 31 + 2] == values[2]);
    return Results{there};
  });
}

TEST_CASE("gathers: every device, and each element where the order says") {
  same_on_every_device(0, [&](Stream &s) {
    std::vector<std::uint8_t> image(53 * 9), label(53);
    for (std::size_t i = 0; i < image.size(); ++i)
      image[i] = std::uint8_t(i * 7);
    std::iota(label.begin(), label.end(), std::uint8_t(0));
    const BatchOrder p{3, 11, 53, 42, 100, 6};
    const Buffer<std::uint8_t> images(s, image), labels(s, label), label_out(s, std::size_t(33));
    const Buffer<float> x(s, std::size_t(33 * 9)), whole(s, std::size_t(53 * 9)), rows(s, std::size_t(11 * 9));
    gather_images<float>(s, x, label_out, images, labels, 9, 0.5, -3, p);
    normalise_images<float>(s, whole, images, 53 * 9, 0.5, -3);
    gather_rows<float>(s, rows, whole, 9, p);
    const auto got = label_out.host();
    const auto values = x.host(), first = rows.host();
    for (int n = 0; n < 3; ++n)
      for (int b = 0; b < 11; ++b) {
        const std::size_t to = std::size_t(n * 11 + b), from = p.example(n, b);
        CHECK(got[to] == from);
        CHECK(values[to * 9 + 4] == image[from * 9 + 4] * 0.5f - 3);
      }
    CHECK(std::equal(first.begin(), first.end(), values.begin()));
    return Results{values, whole.host(), first};
  });
}

TEST_CASE("gathers: images are shifted, flipped and cut out as they are drawn, on every device") {
  const int channels = 2, height = 5, width = 7, pixels = channels * height * width, examples = 9;
  std::vector<std::uint8_t> image(std::size_t(examples * pixels)), label(std::size_t(examples), 1);
  for (std::size_t i = 0; i < image.size(); ++i)
    image[i] = std::uint8_t(1 + i % 250); // none is what comes in from outside
  const BatchOrder p{2, 40, examples, 42, 100, 6};
  const Augmentation a{2, true, 3, channels, height, width};
  same_on_every_device(0, [&](Stream &s) {
    const Buffer<std::uint8_t> images(s, image), labels(s, label), label_out(s, std::size_t(80));
    const Buffer<float> x(s, std::size_t(80 * pixels));
    gather_images<float>(s, x, label_out, images, labels, pixels, 0.5, 100, p, a);
    const auto values = x.host();
    std::set<int> downs, rights, tops;
    int flipped = 0, cut = 0;
    for (int n = 0; n < 2; ++n)
      for (int b = 0; b < 40; ++b) {
        const auto drawn = a.draw(p, n, b);
        downs.insert(drawn.down), rights.insert(drawn.right), tops.insert(drawn.top), flipped += drawn.flipped;
        for (int c = 0; c < channels; ++c)
          for (int u = 0; u < height; ++u)
            for (int v = 0; v < width; ++v) {
              const float found = values[std::size_t((((n * 40 + b) * channels + c) * height + u) * width + v)];
              const bool hidden = std::abs(u - drawn.top - 1) <= 1 && std::abs(v - drawn.left - 1) <= 1;
              const int row = u - drawn.down, column = (drawn.flipped ? width - 1 - v : v) - drawn.right;
              const bool inside = row >= 0 && row < height && column >= 0 && column < width;
              const std::size_t from =
                  std::size_t(p.example(n, b)) * std::size_t(pixels) + std::size_t((c * height + row) * width + column);
              CHECK(found == (hidden ? 0 : inside ? float(image[from]) * 0.5f + 100 : 100));
              cut += hidden;
            }
      }
    CHECK((downs == std::set<int>{-2, -1, 0, 1, 2} && rights == downs));
    CHECK(tops.size() == std::size_t(height));
    CHECK((flipped > 25 && flipped < 55));
    CHECK(cut > 80 * channels * 4); // a corner of the square at least
    return Results{values};
  });
}
