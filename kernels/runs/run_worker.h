// What every worker of the cpu does with a run, whatever its network: draws its examples, takes it from step to step,
// writes its rows as they fall due, and moves its weights.
#pragma once
#include "kernels/device/bf16.h"
#include "kernels/parts/simd.h"
#include "training_run.h"
#include <algorithm>

namespace theta::simd {

// Hands out pieces of a thread's workspace; with null as its start it measures.
template <class T> struct Pieces {
  T *at;
  std::size_t taken = 0;
  T *take(std::size_t n) {
    T *piece = at ? at + taken : nullptr;
    taken += (n + 15) / 16 * 16;
    return piece;
  }
  template <class U> U *take_as(std::size_t n) { // of another type
    return reinterpret_cast<U *>(take((n * sizeof(U) + sizeof(T) - 1) / sizeof(T)));
  }
};

// Whose examples a worker looks at: their labels and signals depend on it.
struct RunSeen {
  std::uint64_t seed;
  std::uint32_t run;
  float label_noise = 0;
};

// drawn_example for a whole batch, of step `step`; a pack of them at a time where they are of one epoch.
inline void draw_examples(std::uint32_t *example, int batch, std::uint64_t seed, std::uint32_t run, long step,
                          std::uint32_t n) {
  constexpr int L = lanes<std::uint32_t>;
  if (std::uint32_t(batch) == n) {
    for (int b = 0; b < batch; ++b)
      example[b] = std::uint32_t(b);
    return;
  }
  const std::uint64_t position = std::uint64_t(step) * std::uint64_t(batch);
  for (int b = 0; b < batch;) {
    const std::uint64_t epoch = (position + std::uint64_t(b)) / n;
    const RandomOrder order(seed, Purpose::batch_order, run, epoch, n);
    auto at = std::uint32_t(position + std::uint64_t(b) - epoch * n);
    const int last = int(std::min<std::uint64_t>(std::uint64_t(batch), std::uint64_t(b) + (n - at)));
    for (; b + L <= last; b += L, at += L) {
      Words drawn = order.step(Words(at + counting<Words>()));
      for (Words beyond = Words(drawn >= n); sum(beyond) != 0; beyond = Words(drawn >= n))
        drawn = beyond != 0 ? order.step(drawn) : drawn;
      store(example + b, drawn);
    }
    for (; b < last; ++b, ++at)
      example[b] = order(at);
  }
}

// Calls f(update), where update(w, m, v, g) moves a pack of weights with their moments by their gradient: the run's
// optimiser (optimizer.h) at this step.
template <class P, class T, class F>
void with_update(const TrainingRuns<T> &runs, const RunRecipe &r, const ScheduledStep &now, F f) {
  const T lr = T(r.lr * now.lr_factor);
  if (r.optimizer == OptimizerKind::sgd) {
    const SgdNumbers<T> numbers({.lr = double(lr), .momentum = r.momentum, .weight_decay = r.weight_decay, .clip = {}});
    f([&numbers](T *w, T *u, T *, P g) {
      P p = load<P>(w), velocity = load<P>(u);
      g = multiply_add(numbers.weight_decay, p, g);
      velocity = multiply_add(numbers.momentum, velocity, g);
      store(u, velocity), store(w, multiply_add(-numbers.lr, multiply_add(numbers.momentum, velocity, g), p));
    });
  } else {
    const bool decoupled = r.optimizer == OptimizerKind::adamw;
    const T step_size = T(double(lr) * now.correction1), root_correction = T(now.root_correction2);
    const T beta1 = T(runs.beta1), beta2 = T(runs.beta2), eps = T(runs.eps);
    const T decay = decoupled ? 1 - lr * T(r.weight_decay) : T(1), l2 = decoupled ? T(0) : T(r.weight_decay);
    f([=](T *w, T *m, T *v, P g) {
      P p = load<P>(w) * decay;
      g = multiply_add(l2, p, g);
      const P first = multiply_add(beta1, load<P>(m), (1 - beta1) * g),
              second = multiply_add(beta2, load<P>(v), (1 - beta2) * g * g);
      store(m, first), store(v, second);
      store(w, p - step_size * first / multiply_add(square_root(second), broadcast<P>(root_correction), eps));
    });
  }
}

// Takes a run from step `first` to `last`: step(s, tell) makes step s and returns the mini-batch's loss before its
// update, which it may leave out where `tell` is false; weights(to) writes the V weights in PyTorch's order.
template <class T, class Step, class Weights>
void train_run(const TrainingRuns<T> &runs, int network, long first, long last, Step step, Weights weights) {
  const std::size_t v = runs.parameters;
  const std::int32_t *due = runs.due + std::size_t(network) * runs.checkpoints;
  int next = 0; // the first row that is still to be written
  while (next < runs.checkpoints && (due[next] < first || (due[next] == first && first > 0)))
    ++next;
  T *row_loss = runs.row_loss + std::size_t(network) * runs.checkpoints;
  const auto checkpoint = [&] {
    T *to = runs.row + (std::size_t(network) * runs.checkpoints + next) * v;
    weights(to);
    T largest = 0;
    bool finite = true;
    for (std::size_t i = 0; i < v; ++i) {
      largest = std::max(largest, std::abs(to[i])), finite = finite && std::isfinite(to[i]);
      if (runs.rows_are_bf16)
        to[i] = T(to_float(to_bf16(float(to[i]))));
    }
    runs.diverged[network] |= !finite || largest > runs.limit;
    ++next;
  };
  const bool can_end = runs.ended != nullptr;
  for (long s = first; s < last && !runs.is_over(network); ++s) {
    const bool untouched = s == 0 && next < runs.checkpoints && due[next] == 0;
    if (untouched)
      checkpoint();
    const bool is_due = next < runs.checkpoints && due[next] == s + 1;
    const T loss = step(s, can_end || untouched || is_due || s + 1 == last);
    if (untouched)
      row_loss[0] = loss;
    if (is_due) {
      row_loss[next] = loss;
      checkpoint();
    }
    if ((untouched || is_due) && !std::isfinite(loss))
      runs.diverged[network] = 1;
    const bool ends = can_end && double(loss) <= runs.enough;
    if (ends || s + 1 == last)
      runs.loss[network] = loss;
    if (ends) {
      runs.ended[network] = std::int32_t(s + 1);
      while (next < runs.checkpoints) {
        row_loss[next] = loss;
        checkpoint();
      }
    }
  }
}

} // namespace theta::simd
