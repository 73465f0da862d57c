// A few runs of one small network in host memory, for the operations that train whole runs.
#pragma once
#include "kernels/runs/training_run.h"
#include "tests/check.h"

namespace theta::test {

inline std::vector<std::uint8_t> random_bytes(std::size_t n, std::uint32_t stream, std::uint32_t below) {
  std::vector<std::uint8_t> bytes(n);
  for (std::size_t i = 0; i < n; ++i)
    bytes[i] = std::uint8_t(philox(5, Purpose::test, stream, i).word[0] % below);
  return bytes;
}

template <class T> struct Runs {
  int networks = 0;
  std::size_t parameters = 0;
  std::vector<T> theta, moment1, moment2, loss, row, row_loss;
  std::vector<RunRecipe> recipe;
  std::vector<std::int32_t> due, diverged;

  void make(std::size_t v, int n, const std::vector<std::int32_t> &due_, const RunRecipe &r) {
    networks = n, parameters = v;
    recipe.assign(std::size_t(n), r), diverged.assign(std::size_t(n), 0);
    theta = random_values<T>(std::size_t(n) * v, 3, 0.3);
    moment1.assign(theta.size(), 0), moment2 = moment1;
    loss.assign(std::size_t(n), 0);
    for (int i = 0; i < n; ++i)
      due.insert(due.end(), due_.begin(), due_.end());
    row.assign(due.size() * v, 0), row_loss.assign(due.size(), 0);
  }

  // Steps first..last−1 by call(stream, runs), which waits for them.
  template <class F> void train(long first, long last, double limit, Device device, F call) {
    std::vector<ScheduledStep> schedule;
    for (long step = first; step < last; ++step)
      schedule.push_back(
          {1 - 0.01 * double(step), 1 / (1 - std::pow(0.9, step + 1)), 1 / std::sqrt(1 - std::pow(0.999, step + 1))});
    Stream s(device);
    const Buffer<ScheduledStep> schedule_there(s, schedule);
    const Buffer<RunRecipe> recipe_there(s, recipe);
    const Buffer<std::int32_t> due_there(s, due), diverged_there(s, diverged);
    const Buffer<T> theta_there(s, theta), m(s, moment1), v(s, moment2), loss_there(s, loss), row_there(s, row),
        row_loss_there(s, row_loss);
    call(s, TrainingRuns<T>{.networks = networks,
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
                            .diverged = diverged_there});
    theta = theta_there.host(), moment1 = m.host(), moment2 = v.host(), loss = loss_there.host();
    row = row_there.host(), row_loss = row_loss_there.host(), diverged = diverged_there.host();
  }
};

// A step of it moves the weights by their gradient.
inline RunRecipe gradient_recipe(Activation act) {
  return {.optimizer = OptimizerKind::sgd, .act = act, .lr = 1, .momentum = 0};
}

// The first step's gradient of network 0 against the slope of its loss. The error of a slope is h²/6 times the third
// derivative: sines of omega 30 make that 30³ times as large, or more.
template <class Setting> void check_gradient(Setting setting) {
  const auto start = setting.theta;
  const bool steep = setting.recipe[0].act == Activation::sine;
  const double h = steep ? 1e-6 : 1e-5;
  const auto loss_at = [&](std::size_t i, double change) {
    Setting moved = setting;
    moved.theta[i] += change;
    moved.recipe[0].lr = 0;
    moved.train(0, 1);
    return moved.loss[0];
  };
  std::vector<double> gradient, slope;
  for (std::size_t i = 0; i < setting.parameters; ++i)
    slope.push_back((loss_at(i, h) - loss_at(i, -h)) / (2 * h));
  setting.train(0, 1);
  for (std::size_t i = 0; i < setting.parameters; ++i)
    gradient.push_back(start[i] - setting.theta[i]);
  CHECK(relative_error(gradient, slope) <= (steep ? 1e-6 : 1e-8));
}

// Rows of `here` and `expected` less the weights that both began with: the weights themselves would hide an error.
template <class T> double moved_error(const Runs<T> &here, const Runs<T> &expected, const Runs<T> &start) {
  std::vector<T> moved, expected_move;
  const std::size_t v = start.parameters, k = start.due.size() / std::size_t(start.networks);
  for (std::size_t i = 0; i < here.row.size(); ++i) {
    const T from = start.theta[i / (k * v) * v + i % v];
    moved.push_back(here.row[i] - from), expected_move.push_back(expected.row[i] - from);
  }
  return norm_error(moved, expected_move);
}

// The mean cross-entropy of every network from its logits, [networks, examples, classes].
inline std::vector<float> losses_of(const std::vector<float> &logits, const std::vector<std::uint8_t> &label,
                                    int networks, int examples, int classes) {
  std::vector<float> losses;
  for (int n = 0; n < networks; ++n) {
    double loss = 0;
    for (int e = 0; e < examples; ++e) {
      const float *z = logits.data() + std::size_t((n * examples + e) * classes);
      double sum = 0;
      for (int c = 0; c < classes; ++c)
        sum += std::exp(double(z[c]));
      loss += (std::log(sum) - z[label[std::size_t(e)]]) / examples;
    }
    losses.push_back(float(loss));
  }
  return losses;
}

} // namespace theta::test
