#include "normalizer.h"
#include "engine/networks/layout.h"
#include "kernels/device/names.h"
#include <algorithm>
#include <cmath>

namespace theta {

namespace {
constexpr std::array normalizer_names{"tensor", "coordinate", "global"};
}

NormalizerKind normalizer_named(std::string_view name) {
  return value_named<NormalizerKind>(name, normalizer_names, "normalizer");
}
const char *name_of(NormalizerKind kind) { return normalizer_names[std::size_t(kind)]; }

namespace {

constexpr std::size_t window = std::size_t(1) << 18; // of the networks' parameters

float deviation_of(double variance) { return variance > 0 ? float(std::sqrt(variance)) : 1.0f; }

// f(coordinate, the average of value(row, coordinate's parameter) over the rows), in double, window after window.
template <class V, class F>
void averages_over(const ZooReader &zoo, const std::vector<std::size_t> &rows, V value, F f) {
  const std::size_t v = zoo.parameters();
  std::vector<float> part(std::min(v, window));
  std::vector<double> sum(part.size());
  for (std::size_t first = 0; first < v; first += part.size()) {
    const std::size_t n = std::min(part.size(), v - first);
    std::fill(sum.begin(), sum.end(), 0.0);
    for (const std::size_t row : rows) {
      zoo.theta(row, first, n, part.data());
      for (std::size_t i = 0; i < n; ++i)
        sum[i] += value(first + i, part[i]) / double(rows.size());
    }
    for (std::size_t i = 0; i < n; ++i)
      f(first + i, sum[i]);
  }
}

} // namespace

// In two passes over each window, so that no mean in double is kept.
void coordinate_statistics(const ZooReader &zoo, const std::vector<std::size_t> &rows, const TakeStatistics &take) {
  const std::size_t v = zoo.parameters(), most = std::min(v, window);
  std::vector<float> part(most), means(most), deviations(most);
  std::vector<double> mean(most), variance(most);
  for (std::size_t first = 0; first < v; first += most) {
    const std::size_t n = std::min(most, v - first);
    std::fill(mean.begin(), mean.end(), 0.0), std::fill(variance.begin(), variance.end(), 0.0);
    for (const bool is_second : {false, true})
      for (const std::size_t row : rows) {
        zoo.theta(row, first, n, part.data());
        for (std::size_t i = 0; i < n; ++i)
          (is_second ? variance : mean)[i] +=
              (is_second ? (part[i] - mean[i]) * (part[i] - mean[i]) : double(part[i])) / double(rows.size());
      }
    for (std::size_t i = 0; i < n; ++i)
      means[i] = float(mean[i]), deviations[i] = deviation_of(variance[i]);
    take(first, n, means.data(), deviations.data());
  }
}

Normalizer fit_normalizer(NormalizerKind kind, const ZooReader &zoo, const std::vector<std::size_t> &rows) {
  const std::size_t v = zoo.parameters();
  Normalizer fitted{std::vector<float>(v), std::vector<float>(v)};
  if (kind == NormalizerKind::coordinate) {
    coordinate_statistics(zoo, rows, [&](std::size_t first, std::size_t n, const float *mean, const float *std) {
      std::copy_n(mean, n, fitted.mean.begin() + std::ptrdiff_t(first));
      std::copy_n(std, n, fitted.std.begin() + std::ptrdiff_t(first));
    });
    return fitted;
  }
  auto layout = zoo.format().layout;
  if (kind == NormalizerKind::global)
    layout = {{"all", {std::int64_t(v)}, 0}};
  std::vector<double> mean(layout.size()), variance(layout.size());
  auto tensor_of = [&, at = std::size_t(0)](std::size_t i) mutable {
    if (i < layout[at].offset)
      at = 0;
    while (i >= layout[at].offset + elements_of(layout[at]))
      ++at;
    return at;
  };
  const auto average = [&](std::vector<double> &of) {
    for (std::size_t t = 0; t < layout.size(); ++t)
      of[t] /= double(elements_of(layout[t]));
  };
  averages_over(
      zoo, rows, [](std::size_t, float x) { return double(x); },
      [&, tensor_of](std::size_t i, double value) mutable { mean[tensor_of(i)] += value; });
  average(mean);
  averages_over(
      zoo, rows,
      [&, tensor_of](std::size_t i, float x) mutable {
        const double d = x - mean[tensor_of(i)];
        return d * d;
      },
      [&, tensor_of](std::size_t i, double value) mutable { variance[tensor_of(i)] += value; });
  average(variance);
  for (std::size_t t = 0; t < layout.size(); ++t)
    for (std::size_t i = layout[t].offset; i < layout[t].offset + elements_of(layout[t]); ++i)
      fitted.mean[i] = float(mean[t]), fitted.std[i] = deviation_of(variance[t]);
  return fitted;
}

} // namespace theta
