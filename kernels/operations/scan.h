// A linear recurrence along a sequence, channel by channel (the diagonal state space of Orvieto et al., "Resurrecting
// recurrent neural networks", 2023, with real decays):
//   h[b, t] = a·h[b, t−1] + √(1 − a²)·u[b, t],  h[b, −1] = state[b],  a = exp(−exp(nu))
// so that a state of deviation 1 keeps it under inputs of deviation 1.
//   h, u [batch, length, channels], state [batch, channels], nu [channels].
// A sequence in pieces, each beginning with the state that the last one left, gives what the whole gives, bit by bit.
#pragma once
#include "kernels/device/device.h"
#include "kernels/device/host_device.h"
#include <cmath>

namespace theta {

struct Scan {
  int batch, length, channels;
};

template <class T> struct Decay { T a, gain; };
template <class T> THETA_HOST_DEVICE inline Decay<T> decay_of(T nu) {
  const T a = T(exp(-exp(nu)));
  return {a, T(sqrt(1 - a * a))};
}

// h written; `last` [batch, channels] too, the state after the sequence, unless it is null; it may be `state`. Bytes:
// 2·batch·length·channels·sizeof(T). A thread a channel of a sequence, walking along it.
template <class T>
void linear_scan_forward(Stream &, T *h, T *last, const T *u, const T *state, const T *nu, const Scan &);

// du written (it may be dh), dnu added to; no gradient goes to `state`, which truncates back-propagation where a piece
// begins. With g[t] = dh[t] + a·g[t+1]:
//   du[t] = gain·g[t],  da = Σ g[t]·h[t−1],  dgain = Σ g[t]·u[t],  dnu = (da − dgain·a/gain)·(−exp(nu)·a)
// partial [batch, channels] is scratch. Bytes: 4·batch·length·channels·sizeof(T).
template <class T>
void linear_scan_backward(Stream &, T *du, T *dnu, const T *dh, const T *h, const T *u, const T *state, const T *nu,
                          T *partial, const Scan &);

// What a channel of one sequence has of dnu, from its sums.
template <class T> THETA_HOST_DEVICE inline T dnu_of(T nu, T da, T dgain) {
  const Decay<T> d = decay_of(nu);
  return (da - dgain * d.a / d.gain) * T(-exp(nu)) * d.a;
}

} // namespace theta
