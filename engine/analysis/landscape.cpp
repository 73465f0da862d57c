#include "landscape.h"
#include "engine/training/interrupt.h"
#include "engine/weights/dense.h"
#include <algorithm>
#include <cmath>

namespace theta {

namespace {
constexpr std::size_t points = 21; // of a line
constexpr int probes = 16, lanczos_steps = 40;
constexpr std::size_t most_singular = std::size_t(1) << 16; // elements of a layer whose singular values are looked at
} // namespace

LandscapeJudge::LandscapeJudge(const NetworkShape &shape, Sizes sizes)
    : shape_(shape), sizes_(sizes), layout_(layout_of(shape)) {
  if (sizes.hessians > 0 && LossGradient::can(shape))
    gradient_.emplace(shape, sizes.images);
}

std::vector<const MemoryPlan *> LandscapeJudge::plans() const {
  return gradient_ ? std::vector<const MemoryPlan *>{&gradient_->plan()} : std::vector<const MemoryPlan *>{};
}

void LandscapeJudge::start(const Dataset &data, const Images &part) {
  if (!gradient_)
    return;
  const auto rows = std::size_t(sizes_.images), pixels = std::size_t(data.values());
  std::vector<double> x(rows * pixels);
  std::vector<std::uint8_t> label(rows);
  for (std::size_t r = 0; r < rows; ++r) {
    const std::size_t image = r % part.size();
    label[r] = part.labels[image];
    for (std::size_t p = 0; p < pixels; ++p)
      x[r * pixels + p] = double(part.pixels[image * pixels + p]) * double(data.scale()) + double(data.shift());
  }
  gradient_->start(x, label);
}

void LandscapeJudge::line(NoveltyJudge &judge, const JudgedGroup &judged, bool aligned, GroupReport &report) const {
  const std::size_t v = layout_.size();
  std::vector<std::size_t> from;
  for (std::size_t i = 0; i < judged.sound.count && from.size() < sizes_.lines; ++i)
    if (judged.nearest[i].index < judge.training().count)
      from.push_back(i);
  if (from.empty())
    return;
  std::vector<float> here(v), there(v);
  std::size_t loaded = from.size(); // the pair in `here` and `there`
  const NetworkSet along{from.size() * points, [&](std::size_t i, float *theta) {
                           const std::size_t pair = i / points;
                           if (pair != loaded) {
                             judged.sound.network(from[pair], here.data());
                             judge.training().network(judged.nearest[from[pair]].index, there.data());
                             if (aligned)
                               judge.assigned()->align(there.data(), here.data());
                             loaded = pair;
                           }
                           const float t = float(i % points) / float(points - 1);
                           for (std::size_t c = 0; c < v; ++c)
                             theta[c] = (1 - t) * here[c] + t * there[c];
                         }};
  const std::vector<float> loss = judge.score(along).loss;
  std::vector<float> barrier;
  Series line;
  for (std::size_t i = 0; i < points; ++i) {
    std::vector<float> at;
    for (std::size_t pair = 0; pair < from.size(); ++pair)
      at.push_back(loss[pair * points + i]);
    const Estimate mean = bootstrapped_mean(at);
    line.x.push_back(double(i) / double(points - 1)), line.y.push_back(mean.value);
    line.low.push_back(mean.low), line.high.push_back(mean.high);
  }
  for (std::size_t pair = 0; pair < from.size(); ++pair) {
    const float *l = loss.data() + pair * points;
    float most = 0;
    for (std::size_t i = 0; i < points; ++i) {
      const float t = float(i) / float(points - 1);
      most = std::max(most, l[i] - (1 - t) * l[0] - t * l[points - 1]);
    }
    barrier.push_back(most);
  }
  const bool raw = judge.assigned() && !aligned;
  report.values[raw ? "raw_barrier" : "barrier"] = std::move(barrier);
  report.series[raw ? "raw_line" : "line"] = std::move(line);
}

void LandscapeJudge::layers(const JudgedGroup &judged, GroupReport &report) const {
  const std::size_t n = std::min(sizes_.lines, judged.sound.count);
  if (n == 0)
    return;
  std::vector<float> theta(layout_.size());
  Series norms;
  for (const TensorPlace &tensor : layout_.places()) {
    std::vector<float> of_each;
    for (std::size_t i = 0; i < n; ++i) {
      judged.sound.network(i, theta.data());
      double sum = 0;
      for (std::size_t e = 0; e < elements_of(tensor); ++e)
        sum += std::pow(double(theta[tensor.offset + e]), 2);
      of_each.push_back(float(std::sqrt(sum)));
    }
    const Estimate mean = bootstrapped_mean(of_each);
    norms.x.push_back(double(norms.x.size() + 1)), norms.y.push_back(mean.value);
    norms.low.push_back(mean.low), norms.high.push_back(mean.high);
  }
  report.series["tensor_norms"] = std::move(norms);
  for (const TensorPlace &tensor : layout_.places()) {
    const std::size_t rows = std::size_t(tensor.shape[0]), columns = elements_of(tensor) / rows;
    if (tensor.shape.size() < 2 || elements_of(tensor) > most_singular)
      continue;
    std::vector<double> mean(std::min(rows, columns), 0);
    for (std::size_t i = 0; i < n; ++i) {
      judged.sound.network(i, theta.data());
      const float *w = theta.data() + tensor.offset;
      const auto values = singular_values({w, w + rows * columns}, rows, columns);
      for (std::size_t j = 0; j < mean.size(); ++j)
        mean[j] += values[j] / double(n);
    }
    Series series;
    for (std::size_t i = 0; i < mean.size(); ++i)
      series.x.push_back(double(i + 1)), series.y.push_back(mean[i]);
    report.series["singular." + tensor.name] = std::move(series);
  }
}

void LandscapeJudge::curvature(const JudgedGroup &judged, GroupReport &report) {
  if (!gradient_)
    return;
  const std::size_t n = std::min(sizes_.hessians, judged.sound.count), v = layout_.size();
  std::vector<float> theta(v);
  for (std::size_t i = 0; i < n; ++i) {
    stop_if_interrupted("eval");
    judged.sound.network(i, theta.data());
    const std::vector<double> at(theta.begin(), theta.end());
    const Product product = [&](const std::vector<double> &x) { return gradient_->hessian_times(at, x); };
    report.values["hessian_top"].push_back(
        float(lanczos_extremes(product, v, lanczos_steps, 0, std::uint32_t(i)).largest));
    report.values["hessian_trace"].push_back(float(hutchinson_trace(product, v, probes, 0, std::uint32_t(i)).trace));
  }
}

void LandscapeJudge::lines(NoveltyJudge &judge, const JudgedGroup &judged, GroupReport &report) const {
  line(judge, judged, bool(judge.assigned()), report);
  if (judge.assigned())
    line(judge, judged, false, report);
  layers(judged, report);
}

} // namespace theta
