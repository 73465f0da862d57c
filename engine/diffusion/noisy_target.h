// What a denoiser is shown and asked for: a training example a row, from data to data under noise.
#pragma once
#include "kernels/operations/diffusion.h"

namespace theta {

struct NoisyTarget {
  int rows;
  std::size_t size; // elements of a row
  NoisePath<float> path;
  Objective objective;
  double scale = 1;                       // deviation of the noise
  int draws = 1;                          // neighbours that are of one network
  const float *start = nullptr;           // what the model learns a difference from, or null
  const std::int32_t *place = nullptr;    // −1 for padding, or null: there is none
  const std::uint32_t *streams = nullptr; // [rows] in host memory: of each row's noise; null: one after another
};

// t by the path, eps ~ N(0, scale²), x = signal(t)·x0 + noise(t)·eps, and in `target` what the objective asks for.
//   x, target, x0 [rows, size]; t [rows]; x may be x0. Noise is of streams noise_stream + row, or as p.streams says; times are of streams
//   time_stream + row, or of draws of the one stream where the path is a chain (draw_times).
void noisy_target(Stream &, float *x, float *target, float *t, const float *x0, const NoisyTarget &, std::uint64_t seed,
                  std::uint32_t noise_stream, std::uint32_t time_stream);

} // namespace theta
