// Noise on its way into data and out again. A process mixes data x0 and noise eps at a level (signal, noise):
//   x = signal·x0 + noise·eps
// Its levels are a path in time, and what a model learns of a mixture is one combination of x0 and eps.
#pragma once
#include "kernels/device/device.h"
#include "random.h"

namespace theta {

// Paths, and how training draws times on them:
//
// logit_normal: straight lines, (1 − t, t), t = 1/(1 + exp(−N(0, 1))) (Lipman et al., 2023; Esser et al., 2024)
//
// uniform: the same lines; t uniform (Liu et al., 2023)
//
// linear: signal² = exp(−0.1·t − 9.95·t²), the limit of DDPM's 1,000 linear steps; t uniform (Song et al., 2021)
//
// cosine: signal = cos(π/2·(t + s)/(1 + s))/cos(π/2·s/(1 + s)), s = 0.008; t uniform (Nichol & Dhariwal, 2021)
//
// edm: noise/signal = sigma, ln sigma = −1.2 + 1.2·N(0, 1), t = ln(sigma)/4 (Karras et al., 2022, for data of deviation
// 1; its preconditioned network is this path's v)
//
// All but the straight ones keep signal² + noise² = 1, and noise/signal at most 160.
enum class NoiseSchedule { logit_normal, linear, cosine, edm, uniform };
THETA_HOST_DEVICE inline bool is_straight(NoiseSchedule s) {
  return s == NoiseSchedule::logit_normal || s == NoiseSchedule::uniform;
}

// What a model learns: velocity is that of straight lines, eps − x0; v is signal·eps − noise·x0 (Salimans & Ho, 2022).
enum class Objective { velocity, v, x0, eps };

template <class T> struct NoiseLevel { T signal, noise; };

// The quantile function of the standard normal distribution, to 1e-6 (Wichura's AS 241, PPND7, 1988). 0 < p < 1.
template <class T> THETA_HOST_DEVICE inline T normal_quantile(T p) {
  const T q = p - T(0.5);
  if (q <= T(0.425) && q >= T(-0.425)) {
    const T r = T(0.180625) - q * q;
    return q * (((T(59.10937472) * r + T(159.29113202)) * r + T(50.434271938)) * r + T(3.3871327179)) /
           (((T(67.187563600) * r + T(78.757757664)) * r + T(17.895169469)) * r + 1);
  }
  T r = sqrt(-log(q < 0 ? p : 1 - p)), x;
  if (r <= 5) {
    r -= T(1.6);
    x = (((T(0.17023821103) * r + T(1.3067284816)) * r + T(2.7568153900)) * r + T(1.4234372777)) /
        ((T(0.12021132975) * r + T(0.73700164250)) * r + 1);
  } else {
    r -= 5;
    x = (((T(0.017337203997) * r + T(0.42868294337)) * r + T(3.0812263860)) * r + T(6.6579051150)) /
        ((T(0.012258202635) * r + T(0.24197894225)) * r + 1);
  }
  return q < 0 ? -x : x;
}

// The time of quantile u, 0 < u < 1, of those that training draws.
template <class T> THETA_HOST_DEVICE inline T training_time(NoiseSchedule schedule, T u) {
  switch (schedule) {
  case NoiseSchedule::logit_normal:
    return 1 / (1 + exp(-normal_quantile(u)));
  case NoiseSchedule::edm:
    return (T(-1.2) + T(1.2) * normal_quantile(u)) / 4;
  default:
    return u;
  }
}

template <class T> THETA_HOST_DEVICE inline NoiseLevel<T> level_at(NoiseSchedule schedule, T t) {
  constexpr T most = 160; // noise/signal
  T sigma = most;
  switch (schedule) {
  case NoiseSchedule::logit_normal:
  case NoiseSchedule::uniform:
    return {1 - t, t};
  case NoiseSchedule::linear:
    sigma = sqrt(exp(T(0.1) * t + T(9.95) * t * t) - 1);
    break;
  case NoiseSchedule::cosine: {
    constexpr T quarter = T(1.5707963267948966), s = T(0.008);
    const T signal = cos(quarter * (t + s) / (1 + s)) / cos(quarter * s / (1 + s));
    if (signal > 1 / most)
      sigma = sqrt(1 / (signal * signal) > 1 ? 1 / (signal * signal) - 1 : T(0));
    break;
  }
  case NoiseSchedule::edm:
    sigma = exp(4 * t);
    break;
  }
  const T signal = 1 / sqrt(1 + (sigma < most ? sigma * sigma : most * most));
  return {signal, (sigma < most ? sigma : most) * signal};
}

// What `objective` asks for at a level: x0's share, then eps'.
template <class T> THETA_HOST_DEVICE inline NoiseLevel<T> target_of(Objective objective, const NoiseLevel<T> &level) {
  switch (objective) {
  case Objective::velocity:
    return {-1, 1};
  case Objective::v:
    return {-level.noise, level.signal};
  case Objective::x0:
    return {1, 0};
  default:
    return {0, 1};
  }
}

// x0 of a mixture x and of what the objective says of it; and back.
template <class T> THETA_HOST_DEVICE inline T data_of(Objective objective, const NoiseLevel<T> &level, T x, T answer) {
  const auto [p, q] = target_of(objective, level);
  return (q * x - level.noise * answer) / (level.signal * q - level.noise * p);
}
template <class T> THETA_HOST_DEVICE inline T answer_of(Objective objective, const NoiseLevel<T> &level, T x, T x0) {
  const auto [p, q] = target_of(objective, level);
  return q == 0 ? p * x0 : p * x0 + q * (x - level.signal * x0) / level.noise;
}

// A path and its times: one of the above, whose times are continuous, or a table of levels at the whole times 0, 1,
// ..., steps − 1: (√alpha_bar[t], √(1 − alpha_bar[t])) (Ho et al., 2020, eq. 4). Its bytes are the stream's device's.
template <class T> struct NoisePath {
  NoiseSchedule schedule = NoiseSchedule::linear;
  const T *alpha_bar = nullptr; // [steps]; null: schedule
  int steps = 0;

  NoisePath(NoiseSchedule s) : schedule(s) {}
  NoisePath(const T *table, int steps) : alpha_bar(table), steps(steps) {}
  THETA_HOST_DEVICE NoiseLevel<T> at(T t) const {
    if (!alpha_bar)
      return level_at(schedule, t);
    const T kept = alpha_bar[int(t)];
    return {std::sqrt(kept), std::sqrt(1 - kept)};
  }
};

// Draw first_index + i of the whole times 0..steps−1, uniform.
THETA_HOST_DEVICE inline int whole_time(const Draws &d, std::uint64_t i, int steps) {
  return int(uniform_below(philox(d.seed, d.purpose, d.first_stream, d.first_index + i).word[0], std::uint64_t(steps)));
}

// Times of a batch. Continuous ones are stratified: row r draws in stratum (r mod repeat)·(rows/repeat) + r/repeat of
// `rows` equal shares of the schedule's quantiles, so that neighbours, which share a network `repeat` by `repeat`,
// differ in time (Kingma et al., "Variational diffusion models", 2021); row r is stream first_stream + r. Whole ones
// are uniform and independent: row r is draw first_index + r of stream first_stream.   t [rows], repeat a divisor of
// rows.
template <class T> void draw_times(Stream &, T *t, int rows, int repeat, const NoisePath<T> &, const Draws &);

// xt = signal·x0 + noise·eps and what the objective asks for, less `start` where that is not null (a model that learns
// a residual), row r at t[r]. eps counts as 0 where place[c] < 0 (padding); place may be null: there is none.
//   xt, target, x0, eps, start [rows, cols]; place [cols]; target may be eps, xt may be x0.
// Bytes: 4·rows·cols·sizeof(T).
template <class T>
void mix_noise(Stream &, T *xt, T *target, const T *x0, const T *eps, const T *start, const std::int32_t *place,
               const T *t, int rows, std::size_t cols, const NoisePath<T> &, Objective);

// z = from_z·z + from_eps·eps + sigma·N(0, 1): every step of every solver is of this form (engine/diffusion/solver.h
// has the coefficients). Noise is drawn only where sigma > 0.   z, eps [rows, cols]. Bytes: 3·rows·cols·sizeof(T).
struct DenoiseStep {
  double from_z, from_eps, sigma;
};
template <class T>
void denoise_step(Stream &, T *z, const T *eps, int rows, std::size_t cols, const DenoiseStep &, const Draws &);

// x[r, c] = 0 where place[c] < 0.   x [rows, cols].
template <class T> void clear_padding(Stream &, T *x, const std::int32_t *place, int rows, std::size_t cols);

// dy[r, c] *= weight[c]: the gradient of a loss in which columns count differently.   dy [rows, cols]; weight [cols].
// Bytes: 2·rows·cols·sizeof(T).
template <class T> void weigh_columns(Stream &, T *dy, const T *weight, int rows, std::size_t cols);

} // namespace theta
