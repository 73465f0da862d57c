// Samplers as lists of steps: at time t, predict eps from (z, t), then z = from_z·z + from_eps·eps + sigma·noise.
#pragma once
#include "kernels/diffusion.h"
#include "schedule.h"
#include <string_view>

namespace theta {

enum class SamplerKind { ddpm, ddim };
SamplerKind sampler_named(std::string_view name); // throws InputError
const char *name_of(SamplerKind);

struct SamplerStep {
  int t;
  DenoiseStep update;
};

// From t to t − 1 by the posterior of Ho et al. 2020, eq. 6-7, with sigma² its variance; the last step adds no noise.
SamplerStep ddpm_step(const Schedule &, int t);

// From t to `next` (-1: to x0) by Song et al. 2021, eq. 12; eta 0 is deterministic.
SamplerStep ddim_step(const Schedule &, int t, int next, double eta);

// All steps, in order: DDPM takes every time; DDIM `count` of them, evenly spread from S − 1 down to 0.
std::vector<SamplerStep> sampler_steps(const Schedule &, SamplerKind, int count, double eta);

} // namespace theta
