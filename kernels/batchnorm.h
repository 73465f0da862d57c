// Batch normalisation over batch and positions (PyTorch's BatchNorm1d), with the activation that follows it.
//   x̂ = (x − mean)·rstd,  y = act(gamma·x̂ + beta),  rstd = 1/√(variance + eps)
#pragma once
#include "activation.h"

namespace theta {

// Tensors are [batch, channels, length]; length 1 is the [batch, channels] case. gamma, beta and statistics [channels].
struct BatchNorm {
  int batch, channels, length;
  Activation act = Activation::none;
  double eps = 1e-5, momentum = 0.1;
};

// Training: statistics of this batch (biased variance), saved as mean and rstd for the backward; running statistics
// move by `momentum` towards them (unbiased variance). y written; y may not be x, which the backward needs.
// Bytes: 2·batch·channels·length·sizeof(T) up to 8,192 elements a channel (one block keeps them in registers), 3 above
// (x read twice, by many blocks a channel).
template <class T>
void batchnorm_forward(Stream &, T *y, T *mean, T *rstd, T *running_mean, T *running_var, const T *x, const T *gamma,
                       const T *beta, const BatchNorm &);

// Inference: normalises by the running statistics. y may be x. Bytes: 2·batch·channels·length·sizeof(T).
template <class T>
void batchnorm_infer(Stream &, T *y, const T *x, const T *running_mean, const T *running_var, const T *gamma,
                     const T *beta, const BatchNorm &);

// What batchnorm_forward wrote to y, bit for bit, from the statistics that it saved: for activations that are computed
// again rather than kept. Bytes: 2·batch·channels·length·sizeof(T).
template <class T>
void batchnorm_again(Stream &, T *y, const T *x, const T *mean, const T *rstd, const T *gamma, const T *beta,
                     const BatchNorm &);

// Backward of batchnorm_forward: dx written (it may be dy), dgamma and dbeta added to. With g = dy·act'(gamma·x̂ +
// beta),
//   dbeta = Σ g,  dgamma = Σ g·x̂,  dx = gamma·rstd·(g − mean(g) − x̂·mean(g·x̂)).
// Bytes: 3·batch·channels·length·sizeof(T) up to 8,192 elements a channel, 5 above (x and dy read twice, dx written).
template <class T>
void batchnorm_backward(Stream &, T *dx, T *dgamma, T *dbeta, const T *dy, const T *x, const T *mean, const T *rstd,
                        const T *gamma, const T *beta, const BatchNorm &);

} // namespace theta
