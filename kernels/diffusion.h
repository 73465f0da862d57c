// The element-wise operations of diffusion: noising, the time embedding, and one denoising step.
#pragma once
#include "device.h"
#include "random.h"

namespace theta {

// x_t = √alpha_bar[t]·x0 + √(1 − alpha_bar[t])·eps (Ho et al. 2020, eq. 4), row r at time t[r].
//   xt, x0, eps [rows, cols]; t [rows]; alpha_bar [steps]. Bytes: 3·rows·cols·sizeof(T).
template <class T>
void q_sample(Stream &, T *xt, const T *x0, const T *eps, const int *t, const T *alpha_bar, int rows, std::size_t cols);

// Sinusoidal embedding (Vaswani et al. 2017): out[r, i] = sin(t[r]·f_i), out[r, half + i] = cos(t[r]·f_i) with
// f_i = 10000^(−i/half), half = width/2.   out [rows, width], width even.
template <class T> void time_embedding(Stream &, T *out, const int *t, int rows, int width);

// z = from_z·z + from_eps·eps + sigma·N(0, 1): every step of DDPM and DDIM is of this form (engine/diffusion/sampler.h
// has the coefficients). Noise is drawn only where sigma > 0.   z, eps [rows, cols]. Bytes: 3·rows·cols·sizeof(T).
struct DenoiseStep {
  double from_z, from_eps, sigma;
};
template <class T>
void denoise_step(Stream &, T *z, const T *eps, int rows, std::size_t cols, const DenoiseStep &, const Draws &);

} // namespace theta
