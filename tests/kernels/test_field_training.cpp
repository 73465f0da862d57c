#include "kernels/runs/field_training.h"
#include "runs.h"

using namespace theta;
using namespace theta::test;

namespace {

// A few runs that learn signals of random values on random points.
template <class T> struct Setting : Runs<T> {
  MlpTraining shape;
  int points, signals = 3;
  std::vector<float> coordinate;
  std::vector<std::uint8_t> value;

  Setting(std::vector<int> widths, int points_, int batch, int networks, const RunRecipe &r)
      : shape{.layers = int(widths.size()) - 1, .widths = {}, .batch = batch}, points(points_) {
    std::copy(widths.begin(), widths.end(), shape.widths);
    this->make(parameters_of(shape), networks, {1, 3}, r);
    // As wide layers of sines begin (Sitzmann et al., 2020), lest rounding be all that one sees.
    const double widest = *std::max_element(widths.begin(), widths.end());
    for (T &w : this->theta)
      w = T(w / (r.act == Activation::sine ? 3 * std::sqrt(widest) : 1));
    coordinate = random_values<float>(std::size_t(points * widths.front()), 8, 1.0);
    value = random_bytes(std::size_t(signals * points * widths.back()), 1, 256);
  }

  FieldSet set() const {
    return {coordinate.data(),
            value.data(),
            std::uint32_t(signals),
            std::uint32_t(points),
            shape.widths[0],
            shape.widths[shape.layers],
            1 / 255.0,
            -0.5};
  }

  void train(long first, long last, Device device = {}) {
    Runs<T>::train(first, last, 1e3, device, [&](Stream &s, const TrainingRuns<T> &runs) {
      const Buffer<float> coordinate_there(s, coordinate);
      const Buffer<std::uint8_t> value_there(s, value),
          workspace(s, field_training_workspace(device.backend, shape, this->networks));
      FieldSet there = set();
      there.coordinate = coordinate_there, there.value = value_there;
      train_fields<T>(s, runs, there, shape, first, last, workspace.get());
      s.synchronize();
    });
  }
};

} // namespace

TEST_CASE("field training: the first step's gradient is the loss's slope (finite differences, double)") {
  for (const auto act : {Activation::relu, Activation::tanh, Activation::sine})
    for (const int batch : {5, 300}) { // beyond what goes through at once
      CAPTURE(std::string(name_of(act)));
      CAPTURE(batch);
      check_gradient(Setting<double>({3, 7, 4, 2}, 301, batch, 1, gradient_recipe(act)));
    }
}

TEST_CASE("field training: the loss is the mean squared error of the run's own signal, trained and evaluated") {
  Setting<double> setting({2, 3, 2}, 11, 11, 4, gradient_recipe(Activation::sine));
  setting.shape.omega = 12.5;
  Setting<double> trained = setting;
  for (auto &recipe : trained.recipe)
    recipe.lr = 0;
  trained.train(0, 1);
  const std::vector<Activation> act(4, Activation::sine);
  const std::vector<std::uint32_t> signal{1, 2, 0, 1}; // of runs 40, 41, ...
  std::vector<double> loss(4);
  Stream s{Device{}};
  const Buffer<std::uint8_t> workspace(s, field_training_workspace(Backend::cpu, setting.shape, setting.networks));
  evaluate_fields<double>(s, loss.data(), setting.theta.data(), act.data(), signal.data(), 4, setting.set(),
                          setting.shape, workspace.get());
  for (std::size_t n = 0; n < 4; ++n) {
    const double *w1 = setting.theta.data() + n * setting.parameters, *b1 = w1 + 6, *w2 = b1 + 3, *b2 = w2 + 6;
    double expected = 0;
    for (std::size_t p = 0; p < 11; ++p)
      for (std::size_t o = 0; o < 2; ++o) {
        double y = b2[o];
        for (std::size_t h = 0; h < 3; ++h)
          y += w2[o * 3 + h] * std::sin(12.5 * (b1[h] + w1[h * 2] * double(setting.coordinate[2 * p]) +
                                                w1[h * 2 + 1] * double(setting.coordinate[2 * p + 1])));
        const double error = y - (setting.value[(signal[n] * 11 + p) * 2 + o] / 255.0 - 0.5);
        expected += error * error / 22;
      }
    CHECK(loss[n] == doctest::Approx(expected).epsilon(1e-12));
    CHECK(trained.loss[n] == doctest::Approx(expected).epsilon(1e-12));
  }
}

TEST_CASE("field training: the same on every device, to bf16's rounding") {
  for (const auto &[widths, points, batch] :
       {std::tuple{std::vector{2, 20, 18, 1}, 150, 150}, {{9, 40, 3}, 90, 33}, {{27, 128, 128, 128, 1}, 150, 70}})
    for (const auto act : {Activation::relu, Activation::sine}) {
      CAPTURE(widths.front());
      CAPTURE(std::string(name_of(act)));
      Setting<float> start(widths, points, batch, 2, {.act = act, .lr = 1e-3f});
      start.shape.omega = widths.front() == 9 ? 12.5f : usual_omega;
      Setting<float> expected = start;
      expected.train(0, 3);
      const std::vector<Activation> acts(2, act);
      const std::vector<std::uint32_t> signal{2, 0};
      Results losses;
      for (const auto device : all_devices()) {
        CAPTURE(device.name());
        REQUIRE(field_training_fits(device.backend, start.shape));
        Setting<float> here = start;
        here.train(0, 3, device);
        CHECK(norm_error(here.row_loss, expected.row_loss) <= 0.02);
        CHECK(moved_error(here, expected, start) <= 0.3); // as for whole runs on images
        Stream s(device);
        const Buffer<float> coordinate(s, start.coordinate), theta(s, start.theta), loss(s, std::size_t(2));
        const Buffer<std::uint8_t> value(s, start.value),
            workspace(s, field_training_workspace(device.backend, start.shape, 2));
        const Buffer<Activation> act_there(s, acts);
        const Buffer<std::uint32_t> signal_there(s, signal);
        FieldSet set = start.set();
        set.coordinate = coordinate, set.value = value;
        evaluate_fields<float>(s, loss, theta, act_there, signal_there, 2, set, start.shape, workspace.get());
        losses.push_back(loss.host());
        CHECK(norm_error(losses.back(), losses.front()) <= 0.02);
      }
    }
}
