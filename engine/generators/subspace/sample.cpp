#include "sample.h"
#include "engine/memory/arena.h"
#include "engine/training/interrupt.h"
#include "kernels/operations/gemm.h"
#include <cmath>

namespace theta {

namespace {
constexpr std::size_t window_bytes = std::size_t(64) << 20, least_window = 1024;
}

SubspaceSampler::SubspaceSampler(const SubspaceConfig &config, int directions, std::size_t parameters,
                                 SolverOptions options)
    : directions_(std::size_t(directions)), parameters_(parameters),
      window_(std::min(parameters, std::max(least_window, window_bytes / sizeof(float) / directions_))),
      batch_(options.batch), steps_(options.steps), guided_(options.guided),
      flow_(config.flow, {coefficients_format(directions).layout, {}}, options) {
  const auto b = std::int64_t(batch_), d = std::int64_t(directions_), w = std::int64_t(window_);
  const auto activation = [&](const char *name, std::int64_t rows, std::int64_t width) {
    return plan_.reserve<float>(name, MemoryClass::activations, {rows, width}, "batch");
  };
  coefficient_ = activation("subspace.coefficients", b, d);
  window_directions_ = activation("subspace.directions", d, w);
  mean_ = activation("subspace.mean", 1, w), theta_ = activation("subspace.theta", b, w);
  directions_staging_ = plan_.reserve<float>("subspace.staging.directions", MemoryClass::staging, {d, w});
  theta_staging_ = plan_.reserve<float>("subspace.staging.theta", MemoryClass::staging, {b, w});
  plan_.place();
  if (guided_) {
    const auto v = std::int64_t(parameters);
    const auto reserve = [&](const char *name, std::int64_t rows) {
      return guide_plan_.reserve<float>(name, MemoryClass::weights, {rows, v}, "sample.batch");
    };
    guide_directions_ = reserve("guide.directions", d), guide_mean_ = reserve("guide.mean", 1);
    guide_theta_ = reserve("guide.theta", b), guide_slope_ = reserve("guide.slope", b);
    guide_plan_.place();
  }
}

std::vector<const MemoryPlan *> SubspaceSampler::plans() const {
  std::vector<const MemoryPlan *> all{&flow_.plan(), &plan_};
  if (guided_)
    all.push_back(&guide_plan_);
  return all;
}

// A guide of networks as one of their coefficients: θ = mean + Σ c[k]·scale[k]·direction[k], and the gradient back.
class SubspaceSampler::CoefficientGuide : public Guide {
public:
  CoefficientGuide(const SubspaceSampler &of, const Subspace &subspace, Guide &networks)
      : of_(of), networks_(networks) {
    // Of coefficients deviation^(1 − power), where scale is deviation^power.
    if (const double power = subspace.config.power; power > 0)
      for (const float scale : subspace.scale)
        variances_.push_back(float(std::pow(double(scale), 2 * (1 - power) / power)));
  }
  std::vector<float> variances() const override { return variances_; }
  void begin(Stream &s, std::size_t first) override { networks_.begin(s, first); }
  std::vector<double> slope(Stream &s, float *gradient, const float *c) override {
    const int b = of_.batch_, d = int(of_.directions_), v = int(of_.parameters_);
    gemm<float>(s, of_.guide_theta_, c, of_.guide_directions_, {.m = b, .n = v, .k = d}, of_.guide_mean_);
    auto missed = networks_.slope(s, of_.guide_slope_, of_.guide_theta_);
    gemm<float>(s, gradient, of_.guide_slope_, of_.guide_directions_, {.m = b, .n = d, .k = v, .transpose_b = true});
    return missed;
  }

private:
  const SubspaceSampler &of_;
  Guide &networks_;
  std::vector<float> variances_;
};

void SubspaceSampler::upload_directions(Stream &s, const Subspace &of, const Safetensors &file) const {
  const std::size_t v = parameters_;
  std::vector<float> row(v);
  file.read(file.tensor(subspace_mean), 0, row.data(), v * sizeof(float));
  copy(s, guide_mean_, row.data(), v * sizeof(float));
  s.synchronize();
  for (std::size_t k = 0; k < directions_; ++k) {
    file.read(file.tensor(subspace_directions), k * v * sizeof(float), row.data(), v * sizeof(float));
    for (float &x : row)
      x *= of.scale[k];
    copy(s, guide_directions_ + k * v, row.data(), v * sizeof(float));
    s.synchronize();
  }
}

void SubspaceSampler::run(Device device, const Subspace &s, const std::filesystem::path &path, std::size_t samples,
                          const Prompts &prompts, const EmitPart &emit, std::size_t watched, const EmitPart &watch,
                          Guide *guide) {
  const std::size_t d = directions_, rows = 2 * std::size_t(steps_) + 1;
  std::vector<float> made(samples * d), seen(std::min(watched, samples) * rows * d); // coefficients
  const auto into = [&](std::vector<float> &to) {
    return [&](std::size_t i, std::span<const float> c) {
      for (std::size_t k = 0; k < d; ++k)
        to[i * d + k] = c[k] * s.scale[k];
    };
  };
  const Safetensors file(path);
  Stream stream(device);
  if (guide) {
    const Arena arena(device, guide_plan_);
    upload_directions(stream, s, file);
    CoefficientGuide of_coefficients(*this, s, *guide);
    flow_.run(device, s.flow, samples, prompts, into(made), watched, into(seen), &of_coefficients);
  } else {
    flow_.run(device, s.flow, samples, prompts, into(made), watched, into(seen));
  }
  const Arena arena(device, plan_);
  expand(stream, file, made, emit);
  expand(stream, file, seen, watch);
}

void SubspaceSampler::expand(Stream &stream, const Safetensors &file, const std::vector<float> &all,
                             const EmitPart &emit) {
  const TensorInfo &mean = file.tensor(subspace_mean), &directions = file.tensor(subspace_directions);
  const std::size_t d = directions_, v = parameters_, samples = all.size() / d;
  for (std::size_t first = 0; first < samples; first += std::size_t(batch_)) {
    const std::size_t rows = std::min(std::size_t(batch_), samples - first);
    copy(stream, coefficient_, all.data() + first * d, rows * d * sizeof(float));
    for (std::size_t at = 0; at < v; at += window_) {
      stop_if_interrupted("sample");
      const std::size_t count = std::min(window_, v - at);
      float *staging = directions_staging_, *theta = theta_staging_;
      stream.synchronize(); // the copies out of the staging before
      file.read(mean, at * sizeof(float), theta, count * sizeof(float));
      copy(stream, mean_, theta, count * sizeof(float));
      for (std::size_t k = 0; k < d; ++k)
        file.read(directions, (k * v + at) * sizeof(float), staging + k * count, count * sizeof(float));
      copy(stream, window_directions_, staging, d * count * sizeof(float));
      gemm<float>(stream, theta_, coefficient_, window_directions_, {.m = int(rows), .n = int(count), .k = int(d)},
                  mean_);
      copy(stream, theta, theta_, rows * count * sizeof(float));
      stream.synchronize();
      for (std::size_t i = 0; i < rows; ++i)
        emit(first + i, at, {theta + i * count, count});
    }
  }
}

} // namespace theta
