// A thread a channel of a sequence: neighbours of a warp are neighbours in memory, and what a step carries stays in
// registers. Of batch·channels threads each walks `length` dependent multiply-adds; the loads ahead of them do not
// depend on the state, so that the compiler has several in flight.
#include "kernels/parts/each.cuh"
#include "scan.h"

namespace theta::cuda {

void linear_scan_forward(Stream &s, float *h, float *last, const float *u, const float *state, const float *nu,
                         const Scan &p) {
  each(s, std::size_t(p.batch) * p.channels, [=] __device__(std::size_t i) {
    const auto d = decay_of(nu[i % p.channels]);
    const std::size_t first = i / p.channels * p.length * p.channels + i % p.channels;
    float now = state[i];
    for (int t = 0; t < p.length; ++t) {
      const std::size_t at = first + std::size_t(t) * p.channels;
      h[at] = now = d.a * now + d.gain * u[at];
    }
    if (last)
      last[i] = now;
  });
}

void linear_scan_backward(Stream &s, float *du, const float *dh, const float *h, const float *u, const float *state,
                          const float *nu, float *partial, const Scan &p) {
  each(s, std::size_t(p.batch) * p.channels, [=] __device__(std::size_t i) {
    const auto d = decay_of(nu[i % p.channels]);
    const std::size_t first = i / p.channels * p.length * p.channels + i % p.channels;
    float g = 0, da = 0, dgain = 0;
    for (int t = p.length; t-- > 0;) {
      const std::size_t at = first + std::size_t(t) * p.channels;
      g = dh[at] + d.a * g;
      da += g * (t > 0 ? h[at - p.channels] : state[i]), dgain += g * u[at];
      du[at] = d.gain * g;
    }
    partial[i] = dnu_of(nu[i % p.channels], da, dgain);
  });
}

} // namespace theta::cuda
