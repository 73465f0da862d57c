#include "normalizer.h"
#include "engine/networks/layout.h"
#include "kernels/device/names.h"
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

// Averages values over each tensor, or over all, in place.
void average(std::vector<double> &values, NormalizerKind kind, std::vector<TensorPlace> layout) {
  if (kind == NormalizerKind::coordinate)
    return;
  if (kind == NormalizerKind::global)
    layout = {{"all", {std::int64_t(values.size())}, 0}};
  for (const auto &place : layout) {
    const std::size_t n = elements_of(place);
    double sum = 0;
    for (std::size_t i = place.offset; i < place.offset + n; ++i)
      sum += values[i];
    for (std::size_t i = place.offset; i < place.offset + n; ++i)
      values[i] = sum / double(n);
  }
}

} // namespace

Normalizer fit_normalizer(NormalizerKind kind, const ZooReader &zoo, const std::vector<std::size_t> &rows) {
  const std::size_t v = zoo.parameters();
  std::vector<double> mean(v), variance(v);
  std::vector<float> row(v);
  const auto &layout = zoo.format().layout;
  for (const std::size_t r : rows) {
    zoo.theta(r, row.data());
    for (std::size_t i = 0; i < v; ++i)
      mean[i] += row[i] / double(rows.size());
  }
  average(mean, kind, layout);
  for (const std::size_t r : rows) {
    zoo.theta(r, row.data());
    for (std::size_t i = 0; i < v; ++i)
      variance[i] += (row[i] - mean[i]) * (row[i] - mean[i]) / double(rows.size());
  }
  average(variance, kind, layout);
  Normalizer fitted{{mean.begin(), mean.end()}, std::vector<float>(v)};
  for (std::size_t i = 0; i < v; ++i)
    fitted.std[i] = variance[i] > 0 ? float(std::sqrt(variance[i])) : 1.0f;
  return fitted;
}

} // namespace theta
