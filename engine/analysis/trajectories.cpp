#include "trajectories.h"
#include "engine/weights/dense.h"
#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>

namespace theta {

namespace {

void thin(Way &way, std::size_t v) {
  const std::size_t n = way.states.size() / v;
  if (n <= most_states)
    return;
  std::vector<float> kept;
  for (std::size_t i = 0; i < most_states; ++i) {
    const auto from = way.states.begin() + std::ptrdiff_t((i * (n - 1) / (most_states - 1)) * v);
    kept.insert(kept.end(), from, from + std::ptrdiff_t(v));
  }
  way.states = std::move(kept);
}

void measure(DrawnWay &to, const std::vector<float> &states, std::size_t v) {
  const std::size_t n = states.size() / v;
  const auto way = [&](std::size_t from, std::size_t there) { // from one state to another
    std::vector<double> step(v);
    for (std::size_t c = 0; c < v; ++c)
      step[c] = double(states[there * v + c] - states[from * v + c]);
    return step;
  };
  const auto dot = [](const std::vector<double> &a, const std::vector<double> &b) {
    return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
  };
  std::vector<double> before;
  double turns = 0, length_before = 0;
  for (std::size_t i = 0; i + 1 < n; ++i) {
    auto step = way(i, i + 1);
    const double length = std::sqrt(dot(step, step));
    to.length += length;
    if (length_before > 0 && length > 0) {
      const double cosine = std::clamp(dot(before, step) / (length_before * length), -1.0, 1.0);
      to.turn += (std::acos(cosine) * 180 / std::numbers::pi - to.turn) / ++turns;
    }
    before = std::move(step), length_before = length;
  }
  if (n > 1) {
    const auto whole = way(0, n - 1);
    to.displacement = std::sqrt(dot(whole, whole));
  }
}

} // namespace

Plane plane_of(std::vector<Way> ways, const NetworkShape &shape, Evaluator &evaluator, Stream &s, int grid) {
  const std::size_t v = layout_of(shape).size();
  const UnitMatcher matcher(shape, 4);
  const auto groups = unit_elements(shape);
  std::vector<float> reference;
  std::size_t states = 0;
  for (Way &way : ways) {
    if (!all_finite(way.states))
      throw InputError("trajectories: found a weight of ", way.name, " that is not finite, expected numbers");
    thin(way, v);
    const std::size_t n = way.states.size() / v;
    states += n;
    std::vector<float> last(way.states.end() - std::ptrdiff_t(v), way.states.end());
    if (reference.empty()) {
      reference = last;
      continue;
    }
    const UnitOrders orders = matcher.match(last.data(), reference.data());
    for (std::size_t i = 0; i < n; ++i)
      for (std::size_t g = 0; g < groups.size(); ++g)
        permute(way.states.data() + i * v, groups[g], orders[g]);
  }
  if (states < 3)
    throw InputError("trajectories: found ", states, " states, expected at least 3");

  std::vector<double> all; // [states, V], centred
  for (const Way &way : ways)
    all.insert(all.end(), way.states.begin(), way.states.end());
  std::vector<double> mean(v, 0);
  for (std::size_t e = 0; e < all.size(); ++e)
    mean[e % v] += all[e] / double(states);
  for (std::size_t e = 0; e < all.size(); ++e)
    all[e] -= mean[e % v];
  const Spectrum spectrum = spectrum_of(product_transposed(all, all, v).data(), states);
  Plane plane;
  double total = 0;
  for (const double value : spectrum.values)
    total += std::max(0.0, value);
  std::vector<double> direction[2], place[2]; // [V], [states]
  for (std::size_t d = 0; d < 2; ++d) {
    const double value = std::max(0.0, spectrum.values[states - 1 - d]), deviation = std::sqrt(value);
    plane.explained[d] = total > 0 ? value / total : 0;
    direction[d].assign(v, 0);
    if (deviation > 0) {
      const auto vector = spectrum.vectors.begin() + std::ptrdiff_t((states - 1 - d) * states);
      direction[d] = product({vector, vector + std::ptrdiff_t(states)}, all, states);
      const double largest = *std::max_element(direction[d].begin(), direction[d].end(),
                                               [](double a, double b) { return std::abs(a) < std::abs(b); });
      for (double &x : direction[d])
        x *= (largest < 0 ? -1 : 1) / deviation;
    }
    place[d] = product_transposed(all, direction[d], v);
  }

  std::size_t row = 0;
  for (const Way &way : ways) {
    DrawnWay drawn{way.name, way.kind, {}, {}, {}};
    const std::size_t n = way.states.size() / v;
    for (std::size_t i = 0; i < n; ++i, ++row)
      drawn.x.push_back(place[0][row]), drawn.y.push_back(place[1][row]);
    drawn.loss = evaluator.score_all(s, way.states.data(), n).loss;
    measure(drawn, way.states, v);
    plane.ways.push_back(std::move(drawn));
  }
  for (int axis = 0; axis < 2; ++axis) {
    const auto [least, most] = std::minmax_element(place[axis].begin(), place[axis].end());
    const double low = *least, high = *most, beside = 0.1 * (high - low);
    for (int i = 0; i < grid; ++i)
      (axis == 0 ? plane.grid_x : plane.grid_y)
          .push_back(low - beside + (high - low + 2 * beside) * i / std::max(1, grid - 1));
  }
  std::vector<float> staging(v);
  if (grid > 0)
    plane.grid_loss = evaluator
                          .score_all(
                              s, plane.grid_x.size() * plane.grid_y.size(),
                              [&](std::size_t i, float *theta) {
                                const double x = plane.grid_x[i % plane.grid_x.size()],
                                             y = plane.grid_y[i / plane.grid_x.size()];
                                for (std::size_t c = 0; c < v; ++c)
                                  theta[c] = float(mean[c] + x * direction[0][c] + y * direction[1][c]);
                              },
                              staging.data())
                          .loss;
  return plane;
}

} // namespace theta
