#include "kernels/operations/reduce.h"
#include "kernels/operations/softmax_cross_entropy.h"
#include "tests/check.h"

using namespace theta;
using namespace theta::test;

TEST_CASE("softmax cross-entropy agrees with PyTorch") {
  const Golden golden("softmax_cross_entropy");
  for (const auto &[suffix, smoothing] : {std::pair{"0.0", 0.0}, {"0.1", 0.1}})
    in_every_precision([&]<class T>(T, Stream &s) {
      CAPTURE(suffix);
      const int rows = golden.side("x", 0), classes = golden.side("x", 1);
      const Buffer<T> x(s, golden.get<T>("x")), loss(s, std::size_t(rows)), dx(s, x.size()), mean(s, std::vector<T>(1));
      const Buffer<std::uint8_t> label(s, golden.labels("label"));
      softmax_cross_entropy<T>(s, loss, dx, x, label, {rows, classes, rows, smoothing, 1.0 / rows});
      row_sum<T>(s, mean, loss, 1, std::size_t(rows), 1.0 / rows);
      CHECK(relative_error(mean.host(), golden.get<T>(std::string("loss_smoothing_") + suffix)) <= golden_tolerance<T>);
      CHECK(relative_error(dx.host(), golden.get<T>(std::string("dx_smoothing_") + suffix)) <= golden_tolerance<T>);
    });
}

TEST_CASE("softmax cross-entropy: shared labels, large logits, no gradient") {
  same_on_every_device(1e-5, [&](Stream &s) {
    const int rows = 3 * 41, classes = 7;
    const Buffer<float> x(s, random_values<float>(std::size_t(rows) * classes, 1, 60)), loss(s, std::size_t(rows));
    std::vector<std::uint8_t> labels(41);
    for (std::size_t i = 0; i < labels.size(); ++i)
      labels[i] = std::uint8_t(i % 7);
    const Buffer<std::uint8_t> label(s, labels);
    softmax_cross_entropy<float>(s, loss, nullptr, x, label, {rows, classes, 41});
    return Results{loss.host()};
  });
}

TEST_CASE("softmax cross-entropy: every device, few and many classes, in place") {
  for (const auto &[rows, classes] : {std::pair{1, 1}, {129, 10}, {67, 64}, {300, 65}, {5, 1000}})
    same_on_every_device(1e-5, [rows = rows, classes = classes](Stream &s) {
      std::vector<std::uint8_t> labels(std::size_t(rows), 0);
      for (std::size_t i = 0; i < labels.size(); ++i)
        labels[i] = std::uint8_t(i * 7 % std::size_t(std::min(classes, 256)));
      const Buffer<std::uint8_t> label(s, labels);
      const Buffer<float> x(s, random_values<float>(std::size_t(rows) * classes, 1, 3)), loss(s, std::size_t(rows));
      softmax_cross_entropy<float>(s, loss, x, x, label, {rows, classes, rows, 0.1, 0.5});
      return Results{loss.host(), x.host()};
    });
}
