#include "kernels/operations/convert.h"
#include "tests/check.h"

using namespace theta;
using namespace theta::test;

TEST_CASE("convert: to bf16 rounds to the nearest, and back is exact") {
  for (const std::size_t n : {std::size_t(1), std::size_t(4), std::size_t(7), std::size_t(1031)})
    for (const auto device : all_devices()) {
      CAPTURE(device.name());
      CAPTURE(n);
      Stream s(device);
      auto values = random_values<float>(n, 1);
      values[0] = 1 + 0x1p-8f; // half way: to even
      const Buffer<float> x(s, values), back(s, n);
      const Buffer<bf16> half(s, std::vector<bf16>(n));
      narrow(s, half, x, n), widen(s, back, half, n);
      const auto found = back.host();
      CHECK(found[0] == 1.0f);
      for (std::size_t i = 0; i < n; ++i) {
        CHECK(std::abs(found[i] - values[i]) <= 0x1p-8f * std::abs(values[i])); // half of the last of 8 bits
        CHECK((std::bit_cast<std::uint32_t>(found[i]) & 0xFFFFu) == 0u);
      }
    }
}
