#include "kernels/operations/counting.h"
#include "kernels/parts/simd.h"
#include "kernels/runs/mlp_training.h"
#include "runs.h"

using namespace theta;
using namespace theta::test;

namespace {

// A few runs of one small network on random images.
template <class T> struct Setting : Runs<T> {
  MlpTraining shape;
  int pixels, classes, examples = 23;
  std::vector<std::uint8_t> image, label;

  Setting(std::vector<int> widths, int batch, int networks, std::vector<std::int32_t> due, const RunRecipe &r)
      : shape{.layers = int(widths.size()) - 1, .widths = {}, .batch = batch}, pixels(widths.front()),
        classes(widths.back()) {
    std::copy(widths.begin(), widths.end(), shape.widths);
    this->make(parameters_of(shape), networks, due, r);
    make_images(examples);
  }

  void make_images(int count) {
    examples = count;
    image = random_bytes(std::size_t(count * pixels), 1, 256);
    label = random_bytes(std::size_t(count), 2, std::uint32_t(classes));
  }

  ImageSet set() const { return {image.data(), label.data(), std::uint32_t(examples), pixels, classes, 1 / 128.0, -1}; }

  void train(long first, long last, double limit = 1e3, Device device = {}) {
    Runs<T>::train(first, last, limit, device, [&](Stream &s, const TrainingRuns<T> &runs) {
      const Buffer<std::uint8_t> image_there(s, image), label_there(s, label),
          workspace(s, mlp_training_workspace(device.backend, shape, this->networks));
      ImageSet there = set();
      there.image = image_there, there.label = label_there;
      train_mlps<T>(s, runs, there, shape, first, last, workspace.get());
      s.synchronize();
    });
  }
};

constexpr Activation activations[] = {Activation::none, Activation::relu,      Activation::leaky_relu,
                                      Activation::elu,  Activation::silu,      Activation::gelu,
                                      Activation::tanh, Activation::gelu_tanh, Activation::sine};

} // namespace

TEST_CASE("packs: exp, tanh, erf, sine and cosine are the library's to 3e-7 of their size") {
  using namespace simd;
  for (int i = -4000; i < 4000; ++i) {
    const float x = 0.005f * float(i) + 1e-4f;
    const Floats pack = broadcast<Floats>(x);
    CAPTURE(x);
    CHECK(simd::exp(pack)[3] == doctest::Approx(std::exp(double(x))).epsilon(3e-7));
    CHECK(exponential(pack).minus_one[3] == doctest::Approx(std::expm1(double(x))).epsilon(3e-7));
    CHECK(simd::tanh(pack)[lanes<float> - 1] == doctest::Approx(std::tanh(double(x))).epsilon(3e-7));
    // its formula's 1.5e-7, and five roundings near 1
    CHECK(std::abs(simd::erf(pack, simd::exp(-pack * pack))[0] - std::erf(double(x))) <= 1.5e-7 + 5 * 0x1p-24);
    const auto wave = sine_cosine(pack * 10);
    CHECK(std::abs(wave.sine[lanes<float> - 1] - std::sin(double(pack[lanes<float> - 1] * 10))) <= 3e-7);
    CHECK(std::abs(wave.cosine[lanes<float> - 1] - std::cos(double(pack[lanes<float> - 1] * 10))) <= 3e-7);
  }
  CHECK(simd::exp(broadcast<Floats>(-1000.0f))[0] < 1e-37f);
  CHECK(std::isnan(simd::exp(broadcast<Floats>(NAN))[0]));
}

TEST_CASE("packs: every activation and its slope are activation.h's") {
  for (const auto act : activations) {
    CAPTURE(name_of(act));
    for (int i = -60; i < 60; ++i) {
      const double x = 0.05 * i + 0.01;
      const auto wide = simd::activate_with_slope(act, simd::broadcast<simd::Pack<double>>(x));
      CHECK(wide.value[1] == doctest::Approx(activate(act, x)).epsilon(1e-12));
      CHECK(wide.slope[1] == doctest::Approx(activation_slope(act, x)).epsilon(1e-12));
      const auto narrow = simd::activate_with_slope(act, simd::broadcast<simd::Floats>(float(x)));
      // omega 30 multiplies the rounding of the argument, and the slope by 30 once more
      CHECK(std::abs(narrow.value[1] - activate(act, x)) <= 1e-5);
      CHECK(std::abs(narrow.slope[1] - activation_slope(act, x)) <= (act == Activation::sine ? 3e-4 : 1e-6));
    }
  }
}

TEST_CASE("whole-run training: the first step's gradient is the loss's slope (finite differences, double)") {
  for (const auto act : activations) {
    CAPTURE(name_of(act));
    Setting<double> setting({11, 5, 9, 3}, 7, 1, {1}, gradient_recipe(act));
    setting.recipe[0].label_smoothing = 0.1f, setting.recipe[0].label_noise = 0.4f, setting.recipe[0].dropout = 0.3f;
    check_gradient(setting);
  }
}

TEST_CASE("whole-run training: a batch larger than goes through at once has the same gradient") {
  Setting<double> setting({6, 4, 3}, 300, 1, {1}, gradient_recipe(Activation::tanh));
  setting.recipe[0].dropout = 0.3f, setting.recipe[0].label_smoothing = 0.1f;
  check_gradient(setting);
}

TEST_CASE("whole-run training: float follows double, for every optimiser, on sizes around a pack") {
  for (const auto optimizer : {OptimizerKind::sgd, OptimizerKind::adam, OptimizerKind::adamw})
    for (const auto &widths : {std::vector{9, 2}, {16, 8, 3}, {70, 33, 17, 10}, {49, 40, 4, 4, 4, 4, 4, 11}}) {
      CAPTURE(name_of(optimizer));
      CAPTURE(widths.size());
      const RunRecipe recipe{
          .optimizer = optimizer, .act = Activation::tanh, .lr = 0.01f, .momentum = 0.8f, .weight_decay = 0.02f};
      Setting<float> narrow(widths, 13, 2, {2, 5}, recipe);
      Setting<double> wide(widths, 13, 2, {2, 5}, recipe);
      wide.theta.assign(narrow.theta.begin(), narrow.theta.end());
      narrow.train(0, 5), wide.train(0, 5);
      CHECK(relative_error(narrow.row, wide.row) <= 1e-4); // five steps of Adam: a step is lr whatever the gradient
      CHECK(relative_error(narrow.row_loss, wide.row_loss) <= 1e-5);
      CHECK(relative_error(narrow.moment1, wide.moment1) <= 1e-4);
    }
}

TEST_CASE("whole-run training: where it is cut into calls changes nothing; rows are the weights of their steps") {
  const RunRecipe recipe{.lr = 0.02f, .dropout = 0.2f};
  Setting<float> whole({20, 6, 4}, 10, 3, {0, 3, 4, 9}, recipe), cut = whole;
  whole.train(0, 10);
  const auto start = cut.theta;
  for (const auto &[first, last] : {std::pair{0, 3}, {3, 4}, {4, 9}, {9, 10}}) {
    cut.train(first, last);
    if (last == 9)
      for (int n = 0; n < 3; ++n)
        CHECK(std::equal(cut.theta.begin() + n * long(cut.parameters),
                         cut.theta.begin() + (n + 1) * long(cut.parameters),
                         cut.row.begin() + (4 * n + 3) * long(cut.parameters)));
  }
  CHECK(cut.theta == whole.theta);
  CHECK(cut.row == whole.row);
  CHECK(cut.row_loss == whole.row_loss);
  CHECK(std::equal(start.begin(), start.begin() + long(cut.parameters), whole.row.begin()));
}

TEST_CASE("whole-run training: a run beyond the limit is marked and trained no more") {
  Setting<float> setting({12, 4, 3}, 6, 2, {2, 4}, {.optimizer = OptimizerKind::sgd, .lr = 0.01f});
  setting.recipe[1].lr = 1e6f;
  setting.train(0, 4);
  CHECK(setting.diverged == std::vector<std::int32_t>{0, 1});
  CHECK(setting.row_loss[3] == 0); // its second row was never reached
  CHECK(setting.row_loss[1] > 0);
}

TEST_CASE("whole-run training: label noise changes as many labels as it says; dropout drops as many units") {
  int changed = 0, dropped = 0;
  for (std::uint32_t e = 0; e < 4000; ++e) {
    const int seen = seen_label(int(e % 10), 10, 0.25f, 3, 7, e);
    CHECK((seen >= 0 && seen < 10));
    changed += seen != int(e % 10);
    const float factor = dropout_factor(0.2f, 3, 7, 5, 1, int(e / 100), int(e % 100));
    CHECK((factor == 0 || factor == doctest::Approx(1.25)));
    dropped += factor == 0;
  }
  CHECK(changed == doctest::Approx(1000).epsilon(0.12)); // 27 is one standard deviation
  CHECK(dropped == doctest::Approx(800).epsilon(0.13));  // 25
  CHECK(seen_label(4, 10, 0, 3, 7, 1) == 4);
}

TEST_CASE("whole-run training: a wide layer before a narrow one leaves its neighbours in the workspace alone") {
  // The transposed weights of a layer with many more inputs than outputs, behind which the batch's images are listed.
  const RunRecipe recipe{.optimizer = OptimizerKind::sgd, .lr = 0.01f};
  Setting<float> narrow({90, 900, 3}, 8, 1, {2}, recipe);
  Setting<double> wide({90, 900, 3}, 8, 1, {2}, recipe);
  wide.theta.assign(narrow.theta.begin(), narrow.theta.end());
  narrow.train(0, 2), wide.train(0, 2);
  CHECK(relative_error(narrow.row, wide.row) <= 1e-5);
}

TEST_CASE("whole-run training: on every device, in one piece and several, with state beyond shared memory") {
  for (const auto &[widths, batch] :
       {std::pair{std::vector{300, 70, 5}, 21}, {{70, 50, 33, 7}, 21}, {{30, 20, 5}, 150}, {{30, 70, 5}, 135}}) {
    CAPTURE(batch);
    CAPTURE(widths.front());
    const Setting<float> start(widths, batch, 2, {1, 3}, {.optimizer = OptimizerKind::adamw, .lr = 0.01f});
    Setting<float> expected = start;
    expected.train(0, 3);
    for (const auto device : all_devices()) {
      CAPTURE(device.name());
      REQUIRE(mlp_training_fits(device.backend, start.shape));
      Setting<float> here = start;
      here.train(0, 3, 1e3, device);
      CHECK(norm_error(here.row, expected.row) <= 0.01);
      // Adam's first steps have the size of lr whatever the gradient: a coordinate whose sign rounding decides is off
      // by twice that. Rounding of 2^-8 decides few.
      CHECK(moved_error(here, expected, start) <= 0.3);
      CHECK(norm_error(here.row_loss, expected.row_loss) <= 0.01);
      CHECK(here.diverged == std::vector<std::int32_t>{0, 0});
    }
  }
}

TEST_CASE("whole-run evaluation: the same on every device, to bf16's rounding") {
  const Setting<float> setting({10, 7, 4}, 1, 3, {1}, {});
  const std::vector<Activation> act{Activation::relu, Activation::tanh, Activation::gelu};
  Results results;
  for (const auto device : all_devices()) {
    CAPTURE(device.name());
    Stream s(device);
    const Buffer<std::uint8_t> image(s, setting.image), label(s, setting.label),
        workspace(s, mlp_training_workspace(device.backend, setting.shape, setting.networks));
    const Buffer<float> theta(s, setting.theta), loss(s, std::size_t(3)),
        logits(s, std::size_t(3 * setting.examples * 4));
    const Buffer<std::uint32_t> wrong(s, std::size_t(3));
    const Buffer<Activation> acts(s, act);
    ImageSet set = setting.set();
    set.image = image, set.label = label;
    REQUIRE(mlp_training_fits(device.backend, setting.shape));
    evaluate_mlps<float>(s, loss, wrong, logits, theta, acts, 3, set, setting.shape, workspace.get());
    results.push_back(loss.host());
    CHECK(norm_error(results.back(), results.front()) <= 0.01);
    CHECK(relative_error(losses_of(logits.host(), setting.label, 3, setting.examples, 4), results.back()) <= 1e-5);
    for (const auto bits : wrong.host())
      CHECK(int(bits >> setting.examples) == 0);
  }
}

TEST_CASE("whole-run evaluation: loss and mistakes are those of the definition") {
  Setting<double> setting({10, 7, 4}, 1, 3, {1}, {});
  setting.make_images(150); // more than a batch of the evaluation
  const Activation act[] = {Activation::relu, Activation::tanh, Activation::gelu};
  setting.theta[2 * setting.parameters + 3] = NAN; // every answer of the third is wrong
  std::vector<double> loss(3);
  std::vector<std::uint32_t> wrong(3 * mask_words(150));
  Stream s{Device{}};
  const Buffer<std::uint8_t> workspace(s, mlp_training_workspace(Backend::cpu, setting.shape, setting.networks));
  evaluate_mlps<double>(s, loss.data(), wrong.data(), nullptr, setting.theta.data(), act, 3, setting.set(),
                        setting.shape, workspace.get());
  for (int n = 0; n < 2; ++n) {
    double expected = 0;
    const double *w1 = setting.theta.data() + std::size_t(n) * setting.parameters, *b1 = w1 + 70, *w2 = b1 + 7,
                 *b2 = w2 + 28;
    for (int e = 0; e < 150; ++e) {
      double h[7], z[4], sum = 0;
      int best = 0;
      for (int o = 0; o < 7; ++o) {
        h[o] = b1[o];
        for (int i = 0; i < 10; ++i)
          h[o] += w1[o * 10 + i] * (setting.image[std::size_t(e * 10 + i)] / 128.0 - 1);
        h[o] = activate(act[n], h[o]);
      }
      for (int o = 0; o < 4; ++o) {
        z[o] = b2[o];
        for (int i = 0; i < 7; ++i)
          z[o] += w2[o * 7 + i] * h[i];
        sum += std::exp(z[o]);
        best = z[o] > z[best] ? o : best;
      }
      expected += std::log(sum) - z[setting.label[std::size_t(e)]];
      const bool marked = wrong[std::size_t(n) * mask_words(150) + std::size_t(e) / 32] >> e % 32 & 1;
      CHECK(marked == (best != setting.label[std::size_t(e)]));
    }
    CHECK(loss[std::size_t(n)] == doctest::Approx(expected / 150).epsilon(1e-12));
  }
  std::vector<std::int32_t> count(3);
  count_bits(s, count.data(), wrong.data(), 3, mask_words(150));
  CHECK(count[2] == 150);
}
