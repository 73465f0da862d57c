// Moments in a byte: what is left of them, and what becomes of a training.
#include "engine/training/moments.h"
#include "kernels/operations/optimizer.h"
#include "tests/check.h"

using namespace theta;
using namespace theta::test;

TEST_CASE("8-bit moments: codes lie in roots; what was coded comes back, and again the same") {
  for (const std::size_t n : {std::size_t(1), std::size_t(7), moment_block}) {
    auto m = random_values<float>(n, 1, 1e-3);
    std::vector<float> v;
    for (const float x : random_values<float>(n, 2, 1e-2))
      v.push_back(x * x * x * x);
    if (n > 1)
      m[1] = 0, v[1] = 0;
    std::vector<std::uint8_t> codes(n);
    std::vector<float> back(n), again(n);
    const float largest = encode_first(codes.data(), m.data(), n);
    decode_first(back.data(), codes.data(), largest, n);
    for (std::size_t i = 0; i < n; ++i) { // the root is off by half a code
      const double root = std::pow(std::abs(double(m[i])) / largest, 0.25),
                   found = std::pow(std::abs(double(back[i])) / largest, 0.25);
      CHECK(std::abs(root - found) <= 0.501 / 127);
      CHECK(back[i] * m[i] >= 0);
    }
    const float largest_again = encode_first(codes.data(), back.data(), n);
    decode_first(again.data(), codes.data(), largest_again, n);
    CHECK(relative_error(again, back) <= 1e-6);

    const float largest_v = encode_second(codes.data(), v.data(), n);
    decode_second(back.data(), codes.data(), largest_v, n);
    for (std::size_t i = 0; i < n; ++i) {
      CHECK((back[i] > 0) == (v[i] > 0)); // what divides is not 0
      const double root = std::pow(double(v[i]) / largest_v, 0.25), found = std::pow(double(back[i]) / largest_v, 0.25);
      CHECK(std::abs(root - found) <= (root < 1.0 / 255 ? 1.0 : 0.501) / 255);
    }
  }
  std::vector<std::uint8_t> codes(4);
  std::vector<float> zero(4), back(4, 1);
  decode_first(back.data(), codes.data(), encode_first(codes.data(), zero.data(), 4), 4);
  CHECK(back == zero);
  decode_second(back.data(), codes.data(), encode_second(codes.data(), zero.data(), 4), 4);
  CHECK(back == zero);
  CHECK(moment_storage_named("8bit") == MomentStorage::bits8);
  CHECK_THROWS_AS(moment_storage_named("4bit"), InputError);
}

// A least-squares problem of badly scaled coordinates, from noisy gradients: the curve of losses with moments that are
// coded after every step beside that of fp32.
TEST_CASE("8-bit moments: AdamW's training curve stays with that of fp32") {
  constexpr std::size_t n = 4 * moment_block;
  Stream s{Device{}};
  const auto target = random_values<float>(n, 1);
  const auto curve = [&](bool coded) {
    std::vector<float> w(n), m(n), v(n), losses;
    std::vector<std::uint8_t> codes(moment_block);
    for (long step = 0; step < 400; ++step) {
      std::vector<float> g(n);
      const auto noise = random_values<float>(n, 100 + int(step), 0.3);
      double loss = 0;
      for (std::size_t i = 0; i < n; ++i) {
        const float scale = std::pow(10.0f, float(i % 5) - 2); // gradients from a hundredth to a hundred
        loss += (w[i] - target[i]) * (w[i] - target[i]) / double(n);
        g[i] = scale * (w[i] - target[i] + noise[i]);
      }
      losses.push_back(float(loss));
      adam_step<float>(s, w.data(), m.data(), v.data(), nullptr, g.data(), n, {.lr = 0.02, .step = step + 1});
      for (std::size_t b = 0; coded && b < n; b += moment_block) {
        decode_first(m.data() + b, codes.data(), encode_first(codes.data(), m.data() + b, moment_block), moment_block);
        decode_second(v.data() + b, codes.data(), encode_second(codes.data(), v.data() + b, moment_block),
                      moment_block);
      }
    }
    return losses;
  };
  const auto exact = curve(false), coded = curve(true);
  CHECK(exact.front() > 0.9f);
  CHECK(exact.back() < 0.05f);
  // On the way down, and on the floor that the noise leaves, within some per cent of where it began.
  for (std::size_t i = 0; i < exact.size(); i += 20)
    CHECK(std::abs(coded[i] - exact[i]) <= 0.05f * exact.front());
  CHECK(coded.back() <= 1.5f * exact.back() + 0.005f);
}
