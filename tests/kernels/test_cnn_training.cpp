#include "kernels/operations/counting.h"
#include "kernels/runs/cnn_training.h"
#include "runs.h"

using namespace theta;
using namespace theta::test;

namespace {

// ModelZoos' small network with other sizes: an odd side that pooling cuts, several channels, a layer without pooling,
// and linear ones.
const CnnTraining odd{
    .channels = 2, .side = 11, .layers = 4, .layer = {{3, 3, 2}, {5, 2, 1}, {7, 3, 1}, {4, 1, 1}}, .batch = 11};
const CnnTraining small{.channels = 1,
                        .side = 28,
                        .layers = 5,
                        .layer = {{8, 5, 2}, {6, 5, 2}, {4, 2, 1}, {20, 3, 1}, {10, 1, 1}},
                        .batch = 10};
const CnnTraining colour{.channels = 3, .side = 4, .layers = 2, .layer = {{5, 3, 2}, {3, 1, 1}}, .batch = 8};
// G.pt's network of CIFAR in small (Peebles et al., 2022): a stride, whose last row and column no place sees, and the
// mean of the whole image.
const CnnTraining averaged{
    .channels = 3, .side = 12, .layers = 3, .layer = {{4, 3, 1, 2}, {5, 2, 1, 2, true}, {3, 1, 1}}, .batch = 9};

template <class T> struct CnnSetting : Runs<T> {
  CnnTraining shape;
  int pixels, classes, examples = 23;
  std::vector<std::uint8_t> image, label;

  CnnSetting(const CnnTraining &p, int networks, std::vector<std::int32_t> due, const RunRecipe &r)
      : shape(p), pixels(p.channels * p.side * p.side), classes(p.layer[p.layers - 1].channels) {
    this->make(parameters_of(p), networks, due, r);
    image = random_bytes(std::size_t(examples * pixels), 1, 256);
    label = random_bytes(std::size_t(examples), 2, std::uint32_t(classes));
  }
  ImageSet set() const { return {image.data(), label.data(), std::uint32_t(examples), pixels, classes, 1 / 128.0, -1}; }

  void train(long first, long last, Device device = {}) {
    Runs<T>::train(first, last, 1e3, device, [&](Stream &s, const TrainingRuns<T> &runs) {
      const Buffer<std::uint8_t> image_there(s, image), label_there(s, label),
          workspace(s, cnn_training_workspace(device.backend, shape, this->networks));
      ImageSet there = set();
      there.image = image_there, there.label = label_there;
      train_cnns<T>(s, runs, there, shape, first, last, workspace.get());
      s.synchronize();
    });
  }
};

} // namespace

TEST_CASE("cnn training agrees with PyTorch: ModelZoos' small network, loss and every gradient") {
  // Operations on images take bytes: numbers in (−8, 8) become seven of them, x = −8 + 16·Σ_k byte_k/256^(k+1), each a
  // channel of its own, whose weights are those of the one channel times 16/256^(k+1).
  constexpr int planes = 7;
  const Golden golden("net_cnn_s");
  const auto x = golden.get<double>("x");
  CnnTraining shape = small;
  shape.channels = planes, shape.batch = 5;
  CnnSetting<double> setting(shape, 1, {1}, gradient_recipe(Activation::tanh));
  setting.examples = 5;
  setting.image.assign(5 * planes * 784, 0);
  setting.label = golden.labels("label");
  const auto part = [](int plane) { return 16 * std::pow(256.0, -(plane + 1)); };
  for (std::size_t e = 0; e < 5; ++e)
    for (std::size_t i = 0; i < 784; ++i) {
      double rest = (x[e * 784 + i] + 8) / 16;
      for (int k = 0; k < planes; ++k) {
        rest *= 256;
        const double byte = std::floor(rest);
        setting.image[(e * planes + std::size_t(k)) * 784 + i] = std::uint8_t(byte);
        rest -= byte;
      }
    }
  // The batch is the whole set: every example keeps its place.
  std::vector<double> theta;
  const auto first = golden.get<double>("param.conv1.weight"), bias = golden.get<double>("param.conv1.bias");
  for (std::size_t o = 0; o < 8; ++o)
    for (int k = 0; k < planes; ++k)
      for (std::size_t t = 0; t < 25; ++t)
        theta.push_back(first[o * 25 + t] * part(k));
  for (std::size_t o = 0; o < 8; ++o) {
    theta.push_back(bias[o]);
    for (std::size_t t = 0; t < 25; ++t)
      theta.back() -= 8 * first[o * 25 + t];
  }
  for (const char *layer : {"conv2", "conv3", "fc1", "fc2"})
    for (const char *kind : {".weight", ".bias"}) {
      const auto values = golden.get<double>(std::string("param.") + layer + kind);
      theta.insert(theta.end(), values.begin(), values.end());
    }
  REQUIRE(theta.size() == setting.parameters);
  setting.theta = theta;
  Stream s{Device{}};
  const Buffer<std::uint8_t> workspace(s, cnn_training_workspace(Backend::cpu, shape, 1));
  setting.Runs<double>::train(0, 1, 1e30, {}, [&](Stream &stream, const TrainingRuns<double> &runs) {
    ImageSet set = setting.set();
    set.scale = 1, set.shift = 0; // bytes enter as they are
    train_cnns<double>(stream, runs, set, shape, 0, 1, workspace.get());
  });
  CHECK(setting.loss[0] == doctest::Approx(golden.get<double>("loss")[0]).epsilon(1e-10));
  std::vector<double> gradient;
  for (std::size_t i = 0; i < theta.size(); ++i)
    gradient.push_back(theta[i] - setting.theta[i]);
  std::vector<double> found_first, found_bias(gradient.begin() + 1400, gradient.begin() + 1408);
  for (std::size_t o = 0; o < 8; ++o)
    for (std::size_t t = 0; t < 25; ++t) {
      double sum = -8 * found_bias[o];
      for (int k = 0; k < planes; ++k)
        sum += gradient[(o * planes + std::size_t(k)) * 25 + t] * part(k);
      found_first.push_back(sum);
    }
  CHECK(relative_error(found_first, golden.get<double>("grad.conv1.weight")) <= 1e-10);
  CHECK(relative_error(found_bias, golden.get<double>("grad.conv1.bias")) <= 1e-10);
  std::size_t at = 1408;
  for (const char *layer : {"conv2", "conv3", "fc1", "fc2"})
    for (const char *kind : {".weight", ".bias"}) {
      CAPTURE(std::string(layer) + kind);
      const auto expected = golden.get<double>(std::string("grad.") + layer + kind);
      const std::vector<double> found(gradient.begin() + std::ptrdiff_t(at),
                                      gradient.begin() + std::ptrdiff_t(at + expected.size()));
      CHECK(relative_error(found, expected) <= 1e-10);
      at += expected.size();
    }
}

TEST_CASE("cnn training agrees with PyTorch: G.pt's network of CIFAR, strided and averaged") {
  const Golden golden("net_cnn_averaged");
  const CnnTraining shape{
      .channels = 3, .side = 32, .layers = 3, .layer = {{16, 3, 1, 2}, {32, 3, 1, 1, true}, {10, 1}}, .batch = 5};
  CnnSetting<double> setting(shape, 1, {1}, gradient_recipe(Activation::relu));
  setting.examples = 5; // the batch is the whole set
  const auto bytes = golden.get<double>("byte");
  setting.image.assign(bytes.begin(), bytes.end());
  setting.label = golden.labels("label");
  setting.theta = golden.get<double>("theta");
  REQUIRE(setting.theta.size() == 5418);
  const auto before = setting.theta;
  setting.train(0, 1);
  CHECK(setting.loss[0] == doctest::Approx(golden.get<double>("loss")[0]).epsilon(1e-12));
  std::vector<double> gradient;
  for (std::size_t i = 0; i < before.size(); ++i)
    gradient.push_back(before[i] - setting.theta[i]);
  CHECK(relative_error(gradient, golden.get<double>("gradient")) <= 1e-10);
}

TEST_CASE("cnn training: the first step's gradient is the loss's slope (finite differences, double)") {
  for (const CnnTraining &shape : {odd, averaged})
    for (const auto act : {Activation::tanh, Activation::gelu}) { // relu and pooling have corners that a step may cross
      CAPTURE(std::string(name_of(act)));
      CnnSetting<double> setting(shape, 1, {1}, gradient_recipe(act));
      setting.recipe[0].label_smoothing = 0.1f, setting.recipe[0].label_noise = 0.4f, setting.recipe[0].dropout = 0.3f;
      check_gradient(setting);
    }
}

TEST_CASE("cnn training: float follows double, and where it is cut into calls changes nothing") {
  const RunRecipe recipe{
      .optimizer = OptimizerKind::adamw, .act = Activation::tanh, .lr = 0.01f, .weight_decay = 0.02f};
  CnnSetting<float> narrow(odd, 2, {0, 2, 5}, recipe), cut = narrow;
  CnnSetting<double> wide(odd, 2, {0, 2, 5}, recipe);
  wide.theta.assign(narrow.theta.begin(), narrow.theta.end());
  narrow.train(0, 5), wide.train(0, 5), cut.train(0, 2), cut.train(2, 5);
  CHECK(relative_error(narrow.row, wide.row) <= 1e-4); // five steps of Adam: a step is lr whatever the gradient
  CHECK(relative_error(narrow.row_loss, wide.row_loss) <= 1e-5);
  CHECK(cut.theta == narrow.theta);
  CHECK(cut.row == narrow.row);
}

TEST_CASE("cnn training and evaluation: the same on every device, to bf16's rounding") {
  for (const CnnTraining &shape : {odd, small, colour, averaged})
    for (const auto act : {Activation::tanh, Activation::relu}) {
      CAPTURE(shape.side);
      CAPTURE(std::string(name_of(act)));
      const CnnSetting<float> start(shape, 2, {1, 2}, {.optimizer = OptimizerKind::adamw, .act = act, .lr = 0.003f});
      CnnSetting<float> expected = start;
      expected.train(0, 2);
      const std::vector<Activation> acts(2, act);
      Results losses;
      for (const auto device : all_devices()) {
        CAPTURE(device.name());
        REQUIRE(cnn_training_fits(device.backend, shape));
        CnnSetting<float> here = start;
        here.train(0, 2, device);
        CHECK(norm_error(here.row_loss, expected.row_loss) <= 0.02);
        CHECK(moved_error(here, expected, start) <= 0.3); // as for whole runs of perceptrons
        CHECK(here.diverged == std::vector<std::int32_t>{0, 0});
        Stream s(device);
        const Buffer<std::uint8_t> image(s, start.image), label(s, start.label),
            workspace(s, cnn_training_workspace(device.backend, shape, 2));
        const Buffer<float> theta(s, start.theta), loss(s, std::size_t(2)),
            logits(s, std::size_t(2 * start.examples * start.set().classes));
        const Buffer<std::uint32_t> wrong(s, std::size_t(2));
        const Buffer<Activation> act_there(s, acts);
        ImageSet set = start.set();
        set.image = image, set.label = label;
        evaluate_cnns<float>(s, loss, wrong, logits, theta, act_there, 2, set, shape, workspace.get());
        losses.push_back(loss.host());
        CHECK(norm_error(losses.back(), losses.front()) <= 0.02);
        CHECK(relative_error(losses_of(logits.host(), start.label, 2, start.examples, start.set().classes),
                             losses.back()) <= 1e-5);
        for (const auto bits : wrong.host())
          CHECK(int(bits >> start.examples) == 0);
      }
    }
}

TEST_CASE("cnn evaluation: loss and mistakes are those of training's forward pass") {
  CnnSetting<double> setting(odd, 3, {1}, gradient_recipe(Activation::tanh));
  setting.examples = odd.batch; // the batch is the whole set
  const auto theta = setting.theta;
  std::vector<double> loss(3);
  std::vector<std::uint32_t> wrong(3);
  const std::vector<Activation> act(3, Activation::tanh);
  Stream s{Device{}};
  const Buffer<std::uint8_t> workspace(s, cnn_training_workspace(Backend::cpu, odd, 3));
  evaluate_cnns<double>(s, loss.data(), wrong.data(), nullptr, theta.data(), act.data(), 3, setting.set(), odd,
                        workspace.get());
  setting.train(0, 1);
  CHECK(relative_error(loss, setting.loss) <= 1e-12);
}
