#include "kernels/operations/counting.h"
#include "kernels/operations/row_l2.h"
#include "tests/check.h"

using namespace theta;
using namespace theta::test;

TEST_CASE("wrong-prediction masks, accuracy and IoU: every device, and by their definitions") {
  for (const auto device : all_devices())
    for (const int rows : sizes_around(32)) {
      CAPTURE(device.name());
      CAPTURE(rows);
      Stream s(device);
      const int networks = 3, classes = 5, first_row = 32;
      const std::size_t words = mask_words(first_row + rows);
      auto logits = random_values<float>(std::size_t(networks * rows * classes), 1);
      const int broken = std::min(1, rows - 1);
      logits[std::size_t(broken * classes + 2)] = std::numeric_limits<float>::quiet_NaN(); // of network 0
      std::vector<std::uint8_t> label(std::size_t(rows), 2);
      const Buffer<float> x(s, logits);
      const Buffer<std::uint8_t> labels(s, label);
      const Buffer<std::uint32_t> mask(s, std::vector<std::uint32_t>(networks * words));
      const Buffer<std::int32_t> count(s, std::size_t(networks));
      const Buffer<float> iou(s, std::size_t(networks * networks));
      wrong_masks(s, mask, x, labels, networks, rows, classes, first_row, words);
      count_bits(s, count, mask, networks, words);
      iou_matrix(s, iou, mask, mask, networks, networks, words);

      std::vector<std::vector<bool>> wrong(networks, std::vector<bool>(rows));
      std::vector<std::int32_t> expected(networks);
      for (int k = 0; k < networks; ++k)
        for (int r = 0; r < rows; ++r) {
          const float *row = logits.data() + std::size_t(k * rows + r) * classes;
          wrong[k][r] = (k == 0 && r == broken) || std::max_element(row, row + classes) - row != 2;
          expected[k] += wrong[k][r];
        }
      CHECK(count.host() == expected);
      for (int a = 0; a < networks; ++a)
        for (int b = 0; b < networks; ++b) {
          int both = 0, either = 0;
          for (int r = 0; r < rows; ++r)
            both += wrong[a][r] && wrong[b][r], either += wrong[a][r] || wrong[b][r];
          CHECK(iou.host()[std::size_t(a * networks + b)] == doctest::Approx(either ? double(both) / either : 1));
        }
    }
}

TEST_CASE("the IoU of two networks without mistakes is 1") {
  for (const auto device : all_devices()) {
    Stream s(device);
    const Buffer<std::uint32_t> none(s, std::vector<std::uint32_t>(2)), some(s, std::vector<std::uint32_t>{4, 1});
    const Buffer<float> iou(s, std::size_t(1));
    iou_matrix(s, iou, none, none, 1, 1, 2);
    CHECK(iou.host()[0] == 1);
    iou_matrix(s, iou, none, some, 1, 1, 2);
    CHECK(iou.host()[0] == 0);
  }
}

TEST_CASE("distances between rows: every device, and by their definition") {
  same_on_every_device(1e-5, [&](Stream &s) {
    const int na = 5, nb = 67;
    const std::size_t cols = 131;
    const auto a = random_values<float>(na * cols, 1), b = random_values<float>(nb * cols, 2);
    const Buffer<float> da(s, a), db(s, b), d(s, std::size_t(na * nb)), workspace(s, std::size_t(na + nb));
    row_l2(s, d, da, db, na, nb, cols, workspace);
    const auto found = d.host();
    for (int i = 0; i < na; ++i)
      for (int j = 0; j < nb; ++j) {
        double sum = 0;
        for (std::size_t c = 0; c < cols; ++c)
          sum += std::pow(double(a[i * cols + c]) - b[j * cols + c], 2);
        CHECK(found[std::size_t(i * nb + j)] == doctest::Approx(std::sqrt(sum)).epsilon(1e-5));
      }
    return Results{found};
  });
}
