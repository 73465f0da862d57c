// What every block does with the run that it trains, whatever its network: the optimiser's update of one weight, rows
// as they fall due, and the way from step to step.
#pragma once
#include "kernels/parts/warp.cuh"
#include "training_run.h"

namespace theta::cuda {

// Weights with their moments where the optimiser finds them.
struct State {
  float *w, *m, *v;
};

struct Update {
  bool sgd;
  float lr, momentum, step_size, root_correction, beta1, beta2, eps, decay, l2;

  __device__ float operator()(const State &s, int i, float g) const {
    float p = s.w[i];
    if (sgd) {
      g += l2 * p;
      const float u = momentum * s.m[i] + g;
      s.m[i] = u;
      p -= lr * (g + momentum * u);
    } else {
      p *= decay;
      g += l2 * p;
      const float m = beta1 * s.m[i] + (1 - beta1) * g, v = beta2 * s.v[i] + (1 - beta2) * g * g;
      s.m[i] = m, s.v[i] = v;
      p -= step_size * m / (sqrtf(v) * root_correction + eps);
    }
    s.w[i] = p;
    return p;
  }
};

__device__ inline Update update_of(const TrainingRuns<float> &runs, const RunRecipe &r, const ScheduledStep &now) {
  const float lr = float(r.lr * now.lr_factor);
  const bool sgd = r.optimizer == OptimizerKind::sgd, decoupled = r.optimizer == OptimizerKind::adamw;
  return {sgd,
          lr,
          r.momentum,
          float(lr * now.correction1),
          float(now.root_correction2),
          float(runs.beta1),
          float(runs.beta2),
          float(runs.eps),
          decoupled ? 1 - lr * r.weight_decay : 1.0f,
          decoupled ? 0.0f : r.weight_decay};
}

// Copies n weights to a row, as it will be stored; returns the largest size that the thread has seen.
__device__ inline float write_weights(const TrainingRuns<float> &runs, float *row, const float *weights, int n) {
  float largest = 0;
  for (int i = int(threadIdx.x); i < n; i += int(blockDim.x)) {
    const float w = weights[i];
    largest = fmaxf(largest, fabsf(w) <= 3e38f ? fabsf(w) : 3.4e38f);
    row[i] = runs.rows_are_bf16 ? to_float(to_bf16(w)) : w;
  }
  return largest;
}

// Takes a run from step `first` to `last`, as training_run.h has it: step(recipe, run, number, update) makes one and
// returns the batch's mean loss before it, to every thread; write_row(row) returns whether the run has diverged.
template <class Step, class WriteRow>
__device__ inline void train_run(const TrainingRuns<float> &runs, int network, long first, long last, Step make_step,
                                 WriteRow write_row) {
  const RunRecipe recipe = runs.recipe[network];
  const std::uint32_t run = runs.first_run + std::uint32_t(network);
  const std::int32_t *due = runs.due + std::size_t(network) * runs.checkpoints;
  const auto row_at = [&](int k) { return runs.row + (std::size_t(network) * runs.checkpoints + k) * runs.parameters; };
  float *row_loss = runs.row_loss + std::size_t(network) * runs.checkpoints;
  int next = 0; // the first row that is still to be written
  while (next < runs.checkpoints && (due[next] < first || (due[next] == first && first > 0)))
    ++next;
  bool diverged = false, ended = false;
  for (long step = first; step < last && !diverged && !ended; ++step) {
    const bool untouched = step == 0 && next < runs.checkpoints && due[next] == 0;
    if (untouched)
      diverged = write_row(row_at(next++));
    const float loss = make_step(recipe, run, step, update_of(runs, recipe, runs.schedule[step - first]));
    const bool is_due = next < runs.checkpoints && due[next] == step + 1;
    ended = runs.ended && double(loss) <= runs.enough;
    if (threadIdx.x == 0) {
      if (untouched)
        row_loss[0] = loss;
      if (is_due)
        row_loss[next] = loss;
      if (ended || step + 1 == last)
        runs.loss[network] = loss;
      if (ended) {
        runs.ended[network] = std::int32_t(step + 1);
        for (int k = next; k < runs.checkpoints; ++k)
          row_loss[k] = loss;
      }
    }
    while (next < runs.checkpoints && (ended || due[next] == step + 1))
      diverged = write_row(row_at(next++)) || diverged;
    diverged = diverged || ((untouched || is_due) && !(fabsf(loss) <= 3e38f));
  }
  if (diverged && threadIdx.x == 0)
    runs.diverged[network] = 1;
}

} // namespace theta::cuda
