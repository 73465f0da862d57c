#include "kernels/counting.h"
#include "kernels/mlp_training.h"
#include "kernels/simd.h"
#include "tests/check.h"

using namespace theta;
using namespace theta::test;

namespace {

// A few runs of one small network on random images, in host memory.
template <class T> struct Setting {
  MlpTraining shape;
  int networks, pixels, classes, examples = 23;
  std::size_t parameters = 0;
  std::vector<std::uint8_t> image, label;
  std::vector<T> theta, moment1, moment2, loss, row, row_loss;
  std::vector<RunRecipe> recipe;
  std::vector<std::int32_t> due, diverged;
  std::vector<std::byte> workspace;

  Setting(std::vector<int> widths, int batch, int networks_, std::vector<std::int32_t> due_, const RunRecipe &r)
      : shape{.layers = int(widths.size()) - 1, .widths = {}, .batch = batch}, networks(networks_),
        pixels(widths.front()), classes(widths.back()), recipe(std::size_t(networks_), r),
        diverged(std::size_t(networks_)), workspace(mlp_training_workspace(Backend::cpu, shape) + 64) {
    std::copy(widths.begin(), widths.end(), shape.widths);
    for (std::size_t l = 0; l + 1 < widths.size(); ++l)
      parameters += std::size_t(widths[l] + 1) * std::size_t(widths[l + 1]);
    workspace.resize(mlp_training_workspace(Backend::cpu, shape));
    for (int i = 0; i < examples * pixels; ++i)
      image.push_back(std::uint8_t(philox(5, Purpose::test, 1, std::uint64_t(i)).word[0]));
    for (int i = 0; i < examples; ++i)
      label.push_back(std::uint8_t(philox(5, Purpose::test, 2, std::uint64_t(i)).word[0] % std::uint32_t(classes)));
    theta = random_values<T>(std::size_t(networks) * parameters, 3, 0.3);
    moment1.assign(theta.size(), 0), moment2 = moment1;
    loss.assign(std::size_t(networks), 0);
    for (int i = 0; i < networks; ++i)
      due.insert(due.end(), due_.begin(), due_.end());
    row.assign(due.size() * parameters, 0), row_loss.assign(due.size(), 0);
  }

  ImageSet set() const { return {image.data(), label.data(), std::uint32_t(examples), pixels, classes, 1 / 128.0, -1}; }

  void train(long first, long last, double limit = 1e3, Device device = {}) {
    std::vector<ScheduledStep> schedule;
    for (long step = first; step < last; ++step)
      schedule.push_back(
          {1 - 0.01 * double(step), 1 / (1 - std::pow(0.9, step + 1)), 1 / std::sqrt(1 - std::pow(0.999, step + 1))});
    Stream s(device);
    const Buffer<ScheduledStep> schedule_there(s, schedule);
    const Buffer<RunRecipe> recipe_there(s, recipe);
    const Buffer<std::uint8_t> image_there(s, image), label_there(s, label),
        workspace(s, mlp_training_workspace(device.backend, shape));
    const Buffer<std::int32_t> due_there(s, due), diverged_there(s, diverged);
    const Buffer<T> theta_there(s, theta), m(s, moment1), v(s, moment2), loss_there(s, loss), row_there(s, row),
        row_loss_there(s, row_loss);
    const TrainingRuns<T> runs{.networks = networks,
                               .parameters = parameters,
                               .seed = 11,
                               .first_run = 40,
                               .recipe = recipe_there,
                               .beta1 = 0.9,
                               .beta2 = 0.999,
                               .eps = 1e-8,
                               .schedule = schedule_there,
                               .theta = theta_there,
                               .moment1 = m,
                               .moment2 = v,
                               .loss = loss_there,
                               .checkpoints = int(due.size()) / networks,
                               .due = due_there,
                               .row = row_there,
                               .row_loss = row_loss_there,
                               .rows_are_bf16 = false,
                               .limit = limit,
                               .diverged = diverged_there};
    ImageSet there = set();
    there.image = image_there, there.label = label_there;
    train_mlps<T>(s, runs, there, shape, first, last, workspace.get());
    theta = theta_there.host(), moment1 = m.host(), moment2 = v.host(), loss = loss_there.host();
    row = row_there.host(), row_loss = row_loss_there.host(), diverged = diverged_there.host();
  }
};

// The loss of network 0's batch of step 0, at weights theta.
double loss_at(Setting<double> setting, const std::vector<double> &theta) {
  setting.theta = theta;
  setting.recipe[0].lr = 0;
  setting.train(0, 1);
  return setting.loss[0];
}

constexpr Activation activations[] = {Activation::none, Activation::relu,      Activation::leaky_relu,
                                      Activation::elu,  Activation::silu,      Activation::gelu,
                                      Activation::tanh, Activation::gelu_tanh, Activation::sine};

} // namespace

TEST_CASE("packs: exp, tanh, erf, sine and cosine are the library's to 3e-7 of their size") {
  using namespace simd;
  for (int i = -4000; i < 4000; ++i) {
    const float x = 0.005f * float(i) + 1e-4f;
    const Floats pack = broadcast(x);
    CAPTURE(x);
    CHECK(exp<float>(pack)[3] == doctest::Approx(std::exp(double(x))).epsilon(3e-7));
    CHECK(exponential<float>(pack).minus_one[3] == doctest::Approx(std::expm1(double(x))).epsilon(3e-7));
    CHECK(simd::tanh<float>(pack)[5] == doctest::Approx(std::tanh(double(x))).epsilon(3e-7));
    // its formula's 1.5e-7, and five roundings near 1
    CHECK(std::abs(simd::erf<float>(pack)[0] - std::erf(double(x))) <= 1.5e-7 + 5 * 0x1p-24);
    const auto wave = sine_cosine<float>(pack * 10);
    CHECK(std::abs(wave.sine[7] - std::sin(double(pack[7] * 10))) <= 3e-7);
    CHECK(std::abs(wave.cosine[7] - std::cos(double(pack[7] * 10))) <= 3e-7);
  }
  CHECK(exp<float>(broadcast(-1000.0f))[0] < 1e-37f);
  CHECK(std::isnan(exp<float>(broadcast(NAN))[0]));
}

TEST_CASE("packs: every activation and its slope are activation.h's") {
  for (const auto act : activations) {
    CAPTURE(name_of(act));
    for (int i = -60; i < 60; ++i) {
      const double x = 0.05 * i + 0.01;
      const auto wide = simd::activate_with_slope<double>(act, simd::broadcast(x));
      CHECK(wide.value[1] == doctest::Approx(activate(act, x)).epsilon(1e-12));
      CHECK(wide.slope[1] == doctest::Approx(activation_slope(act, x)).epsilon(1e-12));
      const auto narrow = simd::activate_with_slope<float>(act, simd::broadcast(float(x)));
      // omega 30 multiplies the rounding of the argument, and the slope by 30 once more
      CHECK(std::abs(narrow.value[1] - activate(act, x)) <= 1e-5);
      CHECK(std::abs(narrow.slope[1] - activation_slope(act, x)) <= (act == Activation::sine ? 3e-4 : 1e-6));
    }
  }
}

TEST_CASE("whole-run training: the first step's gradient is the loss's slope (finite differences, double)") {
  for (const auto act : activations) {
    CAPTURE(name_of(act));
    const RunRecipe recipe{.optimizer = OptimizerKind::sgd,
                           .act = act,
                           .lr = 1,
                           .momentum = 0,
                           .label_smoothing = 0.1f,
                           .label_noise = 0.4f,
                           .dropout = 0.3f};
    Setting<double> setting({11, 5, 9, 3}, 7, 1, {1}, recipe);
    const auto start = setting.theta;
    setting.train(0, 1);
    std::vector<double> gradient, slope;
    // The error is h²/6 times the third derivative: two sines of omega 30 make that 30⁴ times as large.
    const bool steep = act == Activation::sine;
    const double h = steep ? 1e-6 : 1e-5;
    for (std::size_t i = 0; i < start.size(); ++i) {
      gradient.push_back(start[i] - setting.theta[i]);
      auto up = start, down = start;
      up[i] += h, down[i] -= h;
      slope.push_back((loss_at(setting, up) - loss_at(setting, down)) / (2 * h));
    }
    CHECK(relative_error(gradient, slope) <= (steep ? 1e-6 : 1e-8));
  }
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

TEST_CASE("whole-run training: on every device, with more pixels than a chunk and state beyond shared memory") {
  for (const auto &widths : {std::vector{300, 70, 5}, {70, 50, 33, 7}}) {
    CAPTURE(widths.size());
    const Setting<float> start(widths, 21, 2, {1, 3}, {.optimizer = OptimizerKind::adamw, .lr = 0.01f});
    std::vector<float> expected;
    for (const auto device : all_devices()) {
      CAPTURE(device.name());
      REQUIRE(mlp_training_fits(device.backend, start.shape));
      Setting<float> here = start;
      here.train(0, 3, 1e3, device);
      if (expected.empty())
        expected = here.row;
      std::vector<float> moved, expected_move; // rows are start + move: the weights themselves would hide an error
      for (std::size_t i = 0; i < here.row.size(); ++i) {
        const float from = start.theta[i / (2 * start.parameters) * start.parameters + i % start.parameters];
        moved.push_back(here.row[i] - from), expected_move.push_back(expected[i] - from);
      }
      CHECK(norm_error(here.row, expected) <= 0.01);
      // Adam's first steps have the size of lr whatever the gradient: a coordinate whose sign rounding decides is off
      // by twice that. Rounding of 2^-8 decides few.
      CHECK(norm_error(moved, expected_move) <= 0.3);
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
        workspace(s, mlp_training_workspace(device.backend, setting.shape));
    const Buffer<float> theta(s, setting.theta), loss(s, std::size_t(3));
    const Buffer<std::uint32_t> wrong(s, std::size_t(3));
    const Buffer<Activation> acts(s, act);
    ImageSet set = setting.set();
    set.image = image, set.label = label;
    REQUIRE(mlp_training_fits(device.backend, setting.shape));
    evaluate_mlps<float>(s, loss, wrong, theta, acts, 3, set, setting.shape, workspace.get());
    results.push_back(loss.host());
    CHECK(norm_error(results.back(), results.front()) <= 0.01);
    for (const auto bits : wrong.host())
      CHECK(int(bits >> setting.examples) == 0);
  }
}

TEST_CASE("whole-run evaluation: loss and mistakes are those of the definition") {
  Setting<double> setting({10, 7, 4}, 1, 3, {1}, {});
  setting.examples = 150; // more than a batch of the evaluation
  setting.image.clear(), setting.label.clear();
  for (int i = 0; i < 150 * 10; ++i)
    setting.image.push_back(std::uint8_t(philox(6, Purpose::test, 1, std::uint64_t(i)).word[0]));
  for (int i = 0; i < 150; ++i)
    setting.label.push_back(std::uint8_t(i % 4));
  const Activation act[] = {Activation::relu, Activation::tanh, Activation::gelu};
  setting.theta[2 * setting.parameters + 3] = NAN; // every answer of the third is wrong
  std::vector<double> loss(3);
  std::vector<std::uint32_t> wrong(3 * mask_words(150));
  Stream s{Device{}};
  evaluate_mlps<double>(s, loss.data(), wrong.data(), setting.theta.data(), act, 3, setting.set(), setting.shape,
                        setting.workspace.data());
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
