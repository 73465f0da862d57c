// The loop of every solver (solver.h): from noise to data, step by step.
#pragma once
#include "solver.h"

namespace theta {

// Carries z [rows, size] along the steps. predict(z, t) is the model's answer, valid until the next; `next`, as z, is room
// for methods of second order (null where there are none). Before an update seen(step, z, prediction); after one that
// has added noise, noised(z): to clear what is padding. Noise is of streams noise.first_stream + row.
template <class Predict, class Seen, class Noised>
void solve(Stream &s, const Solver &solver, float *z, float *next, int rows, std::size_t size, Draws noise,
           Predict predict, Seen seen, Noised noised) {
  const std::size_t bytes = std::size_t(rows) * size * sizeof(float);
  const auto update = [&](float *to, const float *by, const DenoiseStep &step) {
    denoise_step<float>(s, to, by, rows, size, step, noise);
  };
  for (const SolverStep &step : solver.steps) {
    const float *prediction = predict(z, step.t);
    seen(step, z, prediction);
    if (!step.heun) {
      update(z, prediction, step.first);
      noise.first_index += size;
      if (step.first.sigma > 0)
        noised(z);
      continue;
    }
    copy(s, next, z, bytes);
    update(next, prediction, step.first);
    update(z, prediction, step.second);
    prediction = predict(next, step.next_t);
    update(z, next, {1, step.corrected.from_z, 0});
    update(z, prediction, {1, step.corrected.from_eps, 0});
  }
}

} // namespace theta
