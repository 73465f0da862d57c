// Optimisers: one fused pass each over a whole flat parameter vector. Every pass clears the gradient it has used, ready
// for the backward of the next step to add into.
#pragma once
#include "kernels/device/bf16.h"
#include "kernels/device/device.h"
#include "kernels/device/host_device.h"
#include <span>
#include <string_view>

namespace theta {

enum class OptimizerKind { sgd, adam, adamw };        // adam: its weight decay joins the gradient; adamw: decoupled
OptimizerKind optimizer_named(std::string_view name); // throws InputError
const char *name_of(OptimizerKind);
std::span<const char *const> names_of_optimizers(); // of every value, in their order

// Gradients are first scaled by min(1, max_norm / (norm[0] + 1e-6)), PyTorch's clip_grad_norm_, when norm is given.
struct Clip {
  const void *norm = nullptr; // one T on the device, from global_norm (reduce.h); null: no clipping
  double max_norm = 0;
};

// Adam (Kingma & Ba 2015); `decoupled` weight decay is AdamW (Loshchilov & Hutter 2019), otherwise decay joins the
// gradient. With g the clipped gradient and t = step (1 for the first):
//   m = beta1·m + (1 − beta1)·g,  v = beta2·v + (1 − beta2)·g²,
//   p −= lr·(m/(1 − beta1ᵗ)) / (√(v/(1 − beta2ᵗ)) + eps)
struct Adam {
  double lr = 1e-3, beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weight_decay = 0;
  bool decoupled = true;
  long step = 1;
  double ema_decay = 0; // ema = decay·ema + (1 − decay)·p, where an ema is kept
  Clip clip;
};

// p, m, v, g [n]; ema [n] or null; copy [n] or null: the new parameters rounded to bf16, for products on tensor cores.
// Bytes: 8·n·sizeof(T), 10 with an ema, and 2·n for the copy. On cuda four elements a thread.
template <class T>
void adam_step(Stream &, T *p, T *m, T *v, T *ema, T *g, std::size_t n, const Adam &, bf16 *copy = nullptr);

// SGD with momentum as PyTorch's: g += weight_decay·p; u = momentum·u + g;
// p −= lr·(g + momentum·u) with Nesterov, else lr·u. u starts at zero.
struct Sgd {
  double lr = 0.1, momentum = 0.9, weight_decay = 0;
  bool nesterov = true;
  Clip clip;
};

// p, u, g [n]. Bytes: 6·n·sizeof(T).
template <class T> void sgd_step(Stream &, T *p, T *u, T *g, std::size_t n, const Sgd &);

// g *= min(1, max_norm / (norm[0] + 1e-6)). Bytes: 2·n·sizeof(T).
template <class T> void clip_gradient(Stream &, T *g, std::size_t n, const Clip &);

// The factor that clipping multiplies gradients by.
template <class T> THETA_HOST_DEVICE inline T clip_factor(const Clip &clip) {
  if (!clip.norm)
    return T(1);
  const T factor = T(clip.max_norm) / (*static_cast<const T *>(clip.norm) + T(1e-6));
  return factor < 1 ? factor : T(1);
}

// Adam's numbers of one step, rounded once.
template <class T> struct AdamNumbers {
  T beta1, beta2, eps, step_size, root_correction, decay, l2, ema_decay;
  explicit AdamNumbers(const Adam &o)
      : beta1(T(o.beta1)), beta2(T(o.beta2)), eps(T(o.eps)),
        step_size(T(o.lr / (1 - std::pow(o.beta1, double(o.step))))),
        root_correction(T(1 / std::sqrt(1 - std::pow(o.beta2, double(o.step))))),
        decay(T(o.decoupled ? 1 - o.lr * o.weight_decay : 1)), l2(T(o.decoupled ? 0 : o.weight_decay)),
        ema_decay(T(o.ema_decay)) {}

  // One coordinate.
  THETA_HOST_DEVICE void update(T &p, T &m, T &v, T g) const {
    p *= decay;
    g += l2 * p;
    m = beta1 * m + (1 - beta1) * g;
    v = beta2 * v + (1 - beta2) * g * g;
    p -= step_size * m / (std::sqrt(v) * root_correction + eps);
  }
};

// SGD's numbers of one step, rounded once.
template <class T> struct SgdNumbers {
  T lr, momentum, weight_decay;
  bool nesterov;
  explicit SgdNumbers(const Sgd &o)
      : lr(T(o.lr)), momentum(T(o.momentum)), weight_decay(T(o.weight_decay)), nesterov(o.nesterov) {}

  THETA_HOST_DEVICE void update(T &p, T &u, T g) const {
    g += weight_decay * p;
    u = momentum * u + g;
    p -= lr * (nesterov ? g + momentum * u : u);
  }
};

} // namespace theta
