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

// Backward of batchnorm_infer to x, whose statistics do not depend on it: dx = gamma·rstd·dy·act'(gamma·x̂ + beta), written
// (it may be dy). Bytes: 3·batch·channels·length·sizeof(T).
template <class T>
void batchnorm_infer_backward(Stream &, T *dx, const T *dy, const T *x, const T *running_mean, const T *running_var,
                              const T *gamma, const T *beta, const BatchNorm &);

// y = act(gamma·x̂ + beta) by saved statistics: what batchnorm_forward wrote, bit for bit, from the same x. y may be x.
// X is T, or bf16 where x was stored so. Bytes: batch·channels·length·(sizeof(X) + sizeof(T)).
template <class T, class X>
void batchnorm_again(Stream &, T *y, const X *x, const T *mean, const T *rstd, const T *gamma, const T *beta,
                     const BatchNorm &);

// Backward of batchnorm_forward: dx written (it may be dy), dgamma and dbeta added to. With g = dy·act'(gamma·x̂ +
// beta),
//   dbeta = Σ g,  dgamma = Σ g·x̂,  dx = gamma·rstd·(g − mean(g) − x̂·mean(g·x̂)).
// Bytes: 3·batch·channels·length·sizeof(T) up to 8,192 elements a channel, 5 above (x and dy read twice, dx written).
template <class T>
void batchnorm_backward(Stream &, T *dx, T *dgamma, T *dbeta, const T *dy, const T *x, const T *mean, const T *rstd,
                        const T *gamma, const T *beta, const BatchNorm &);

// The same over a batch that goes through in pieces, of some samples and a stretch of their length (`piece`.batch,
// `piece`.length): moments of every piece, then settle, then batchnorm_again of every piece; backward the sums of every
// piece, then the gradient of every piece.

// moments [channels, 2] = mean and Σ (x − mean)² of the `seen` elements of a channel before this piece, and of this
// piece together (Chan, Golub & LeVeque, 1979). Bytes: those of x.
template <class T> void batchnorm_add_moments(Stream &, T *moments, const T *x, double seen, const BatchNorm &piece);

// mean, rstd and running statistics of the whole batch from its moments, as batchnorm_forward leaves them.
template <class T>
void batchnorm_settle(Stream &, T *mean, T *rstd, T *running_mean, T *running_var, const T *moments,
                      const BatchNorm &whole);

// sums [channels, 2] += (Σ g, Σ g·x̂) of this piece; dbeta and dgamma likewise. Bytes: dy and x once.
template <class T, class X>
void batchnorm_gradient_sums(Stream &, T *sums, T *dgamma, T *dbeta, const T *dy, const X *x, const T *mean,
                             const T *rstd, const T *gamma, const T *beta, const BatchNorm &piece);

// dx of this piece (it may be dy), from the sums of a whole batch of `count` elements a channel. Bytes: dy, x and dx
// once.
template <class T, class X>
void batchnorm_gradient(Stream &, T *dx, const T *sums, const T *dy, const X *x, const T *mean, const T *rstd,
                        const T *gamma, const T *beta, const BatchNorm &piece, double count);

} // namespace theta
