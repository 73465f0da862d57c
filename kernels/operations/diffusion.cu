#include "diffusion.h"
#include "kernels/parts/each.cuh"

namespace theta::cuda {

void draw_times(Stream &s, float *t, int rows, int repeat, const NoisePath<float> &path, const Draws &draws) {
  const NoisePath<float> p = path;
  const Draws d = draws;
  each(s, std::size_t(rows), [=] __device__(std::size_t r) {
    if (p.alpha_bar) {
      t[r] = float(whole_time(d, std::uint64_t(r), p.steps));
      return;
    }
    const float u = uniform01(philox(d.seed, d.purpose, d.first_stream + std::uint32_t(r), d.first_index).word[0]);
    const int stratum = int(r) % repeat * (rows / repeat) + int(r) / repeat;
    t[r] = training_time(p.schedule, (float(stratum) + u) / float(rows));
  });
}

void mix_noise(Stream &s, float *xt, float *target, const float *x0, const float *eps, const float *start,
               const std::int32_t *place, const float *t, int rows, std::size_t cols, const NoisePath<float> &path,
               Objective objective) {
  const NoisePath<float> p = path;
  each(s, rows * cols, [=] __device__(std::size_t i) {
    const NoiseLevel<float> level = p.at(t[i / cols]), wanted = target_of(objective, level);
    const float data = x0[i], noise = place && place[i % cols] < 0 ? 0 : eps[i];
    xt[i] = level.signal * data + level.noise * noise;
    target[i] = wanted.signal * data + wanted.noise * noise - (start ? start[i] : 0);
  });
}

void denoise_step(Stream &s, float *z, const float *eps, int rows, std::size_t cols, const DenoiseStep &step,
                  const Draws &draws) {
  const float from_z = float(step.from_z), from_eps = float(step.from_eps), sigma = float(step.sigma);
  const Draws d = draws;
  each(s, rows * cols, [=] __device__(std::size_t i) {
    float next = from_z * z[i] + from_eps * eps[i];
    if (sigma > 0)
      next += sigma * normal(d.seed, d.purpose, d.first_stream + std::uint32_t(i / cols), d.first_index + i % cols);
    z[i] = next;
  });
}

void clear_padding(Stream &s, float *x, const std::int32_t *place, int rows, std::size_t cols) {
  each(s, rows * cols, [=] __device__(std::size_t i) {
    if (place[i % cols] < 0)
      x[i] = 0;
  });
}

void weigh_columns(Stream &s, float *dy, const float *weight, int rows, std::size_t cols) {
  each(s, rows * cols, [=] __device__(std::size_t i) { dy[i] *= weight[i % cols]; });
}

} // namespace theta::cuda
