#include "noisy_target.h"
#include "kernels/operations/random.h"

namespace theta {

void noisy_target(Stream &s, float *x, float *target, float *t, const float *x0, const NoisyTarget &p,
                  std::uint64_t seed, std::uint32_t noise_stream, std::uint32_t time_stream) {
  for (int r = 0; p.streams && r < p.rows; ++r)
    fill_normal<float>(s, target + std::size_t(r) * p.size, 1, p.size, p.scale,
                       {seed, Purpose::diffusion_noise, p.streams[r]});
  if (!p.streams)
    fill_normal<float>(s, target, p.rows, p.size, p.scale, {seed, Purpose::diffusion_noise, noise_stream});
  draw_times<float>(s, t, p.rows, p.draws, p.path, {seed, Purpose::diffusion_time, time_stream});
  mix_noise<float>(s, x, target, x0, target, p.start, p.place, t, p.rows, p.size, p.path, p.objective);
}

} // namespace theta
