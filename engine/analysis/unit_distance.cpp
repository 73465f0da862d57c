#include "unit_distance.h"
#include "engine/weights/assignment.h"
#include "engine/weights/symmetry.h"
#include "kernels/device/parallel.h"
#include <algorithm>
#include <cmath>
#include <limits>

namespace theta {

void UnitDistance::check(const NetworkShape &shape) {
  if (unit_layers(shape).layers != 2)
    throw InputError("eval.distance: found assigned, expected plain: it needs networks of one hidden layer");
}

UnitDistance::UnitDistance(const NetworkShape &shape) : shape_(shape) {
  check(shape);
  const Layout layout = layout_of(shape);
  tokens_ = tokens_by("neuron", {layout.places(), shape, 0});
}

std::vector<float> UnitDistance::prepared(const std::vector<float> &networks) const {
  const std::size_t v = tokens_.size();
  std::vector<float> all(networks.size());
  auto theta = networks;
  for (std::size_t i = 0; i < networks.size(); i += v) {
    balance(theta.data() + i, shape_);
    tokens_.tokenise(all.data() + i, theta.data() + i);
  }
  return all;
}

std::vector<float> UnitDistance::operator()(const std::vector<float> &networks,
                                            const std::vector<float> &references) const {
  const std::size_t v = tokens_.size(), rows = networks.size() / v, columns = references.size() / v;
  const int units = tokens_.types[0].count, width = tokens_.types[0].width;
  const auto a = prepared(networks), b = prepared(references);
  std::vector<float> distances(rows * columns);
  parallel_each(rows, [&](std::size_t i) {
    for (std::size_t j = 0; j < columns; ++j) {
      const float *from = a.data() + i * v, *to = b.data() + j * v;
      const auto squared = [](const float *x, const float *y, int n) {
        float sum = 0;
#pragma omp simd reduction(+ : sum)
        for (int e = 0; e < n; ++e)
          sum += (x[e] - y[e]) * (x[e] - y[e]);
        return double(sum);
      };
      std::vector<double> cost;
      for (int u = 0; u < units; ++u)
        for (int w = 0; w < units; ++w)
          cost.push_back(squared(from + u * width, to + w * width, width));
      double sum = squared(from + units * width, to + units * width, int(v) - units * width);
      const bool finite = std::all_of(cost.begin(), cost.end(), [](double c) { return std::isfinite(c); });
      if (!finite || !std::isfinite(sum)) {
        distances[i * columns + j] = std::numeric_limits<float>::infinity();
        continue;
      }
      const auto column = assign(cost, units);
      for (int u = 0; u < units; ++u)
        sum += cost[std::size_t(u * units + column[std::size_t(u)])];
      distances[i * columns + j] = float(std::sqrt(sum));
    }
  });
  return distances;
}

} // namespace theta
