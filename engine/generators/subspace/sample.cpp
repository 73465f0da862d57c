#include "sample.h"
#include "engine/memory/arena.h"
#include "engine/training/interrupt.h"
#include "kernels/operations/gemm.h"

namespace theta {

namespace {
constexpr std::size_t window_bytes = std::size_t(64) << 20, least_window = 1024;
}

SubspaceSampler::SubspaceSampler(const SubspaceConfig &config, int directions, std::size_t parameters,
                                 SolverOptions options)
    : directions_(std::size_t(directions)), parameters_(parameters),
      window_(std::min(parameters, std::max(least_window, window_bytes / sizeof(float) / directions_))),
      batch_(options.batch), flow_(config.flow, {coefficients_format(directions).layout, {}}, options) {
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
}

void SubspaceSampler::run(Device device, const Subspace &s, const std::filesystem::path &path, std::size_t samples,
                          const Prompts &prompts, const EmitPart &emit) {
  const std::size_t d = directions_, v = parameters_;
  std::vector<float> all(samples * d); // coefficients
  flow_.run(device, s.flow, samples, prompts, [&](std::size_t i, std::span<const float> c) {
    for (std::size_t k = 0; k < d; ++k)
      all[i * d + k] = c[k] * s.scale[k];
  });
  const Safetensors file(path);
  const TensorInfo &mean = file.tensor(subspace_mean), &directions = file.tensor(subspace_directions);
  Stream stream(device);
  const Arena arena(device, plan_);
  for (std::size_t first = 0; first < samples; first += std::size_t(batch_)) {
    const std::size_t rows = std::min(std::size_t(batch_), samples - first);
    copy(stream, coefficient_, all.data() + first * d, rows * d * sizeof(float));
    for (std::size_t at = 0; at < v; at += window_) {
      if (interrupted())
        throw Interrupted("sample: stopped; the same command starts it again");
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
