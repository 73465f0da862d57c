// Running statistics counted anew: by their definition, whatever they were before.
#include "engine/analysis/recount.h"
#include "engine/networks/kind.h"
#include "engine/networks/resnet.h"
#include "program_run.h"
#include "small_data.h"

using namespace theta;
using namespace theta::test;

namespace {

constexpr int side = 8, batches = 3, batch = 7, pixels = side * side;

Dataset images() {
  Dataset set{.name = "stripes", .side = side, .classes = 3};
  set.train = stripes(60, side, 3, 1), set.test = stripes(6, side, 3, 2);
  set.mean = 0.35, set.std = 0.25, set.fingerprint = "stripes";
  return set;
}

} // namespace

TEST_CASE("recount: statistics are the means of the batches', of the networks' own weights, whatever they were") {
  const Dataset data = images();
  NetworkShape shape{{4, 6, 8, 3}, Activation::relu, Initialisation::pytorch, network_kind_named("resnet")};
  shape.own = ResNetSettings{side, 1, 8, "small"};
  const Layout layout = layout_of(shape);
  const std::size_t v = layout.size(), trained = layout.trained();
  REQUIRE(has_statistics(shape));
  const auto theta = as_state(some_weights(layout, 2), layout);
  NetworkSet set{2, [&](std::size_t i, float *to) { std::copy_n(theta.begin() + std::ptrdiff_t(i * v), v, to); }};
  NetworkSet other = set;
  other.network = [&, whole = set.network](std::size_t i, float *to) {
    whole(i, to);
    std::fill(to + trained, to + v, 0.7f); // other statistics
  };
  for (const auto device : all_devices()) {
    CAPTURE(device.name());
    Recount recount(shape, batches, batch);
    const NetworkSet found = recount.of(set, device, data, 5), again = recount.of(other, device, data, 5);
    for (std::size_t i = 0; i < 2; ++i) {
      std::vector<float> counted(v), of_other(v);
      found.network(i, counted.data()), again.network(i, of_other.data());
      CHECK(std::equal(counted.begin(), counted.begin() + std::ptrdiff_t(trained),
                       theta.begin() + std::ptrdiff_t(i * v)));
      CHECK(relative_error(counted, of_other) <= 1e-6);
      // The first normalisation sees the first convolution, 3 x 3 with zeros around the image.
      const float *w = counted.data() + layout["conv1.weight"].offset;
      for (std::size_t c = 0; c < 4; ++c) {
        double mean = 0, var = 0;
        for (int k = 0; k < batches; ++k) {
          double sum = 0, squares = 0;
          for (int b = 0; b < batch; ++b) {
            const std::size_t image = shuffled(5, Purpose::batch_order, 0, std::uint64_t(k * batch + b), 60);
            for (int at = 0; at < pixels; ++at) {
              double y = 0;
              for (int t = 0; t < 9; ++t)
                if (const int row = at / side + t / 3 - 1, column = at % side + t % 3 - 1;
                    row >= 0 && row < side && column >= 0 && column < side)
                  y += double(w[c * 9 + std::size_t(t)]) *
                       (data.train.pixels[image * pixels + std::size_t(row * side + column)] * data.scale() +
                        data.shift());
              sum += y, squares += y * y;
            }
          }
          const double n = batch * pixels;
          mean += sum / n / batches, var += (squares - sum * sum / n) / (n - 1) / batches;
        }
        CHECK(double(counted[layout["bn1.running_mean"].offset + c]) == doctest::Approx(mean).epsilon(1e-4));
        CHECK(double(counted[layout["bn1.running_var"].offset + c]) == doctest::Approx(var).epsilon(1e-4));
      }
    }
  }
  CHECK_THROWS_WITH_AS(Recount({{16, 5, 3}}, 4, 8), doctest::Contains("eval.recount: found 4, expected 0 for a mlp"),
                       InputError);
}
