#include "sampler.h"
#include "kernels/names.h"
#include <cmath>

namespace theta {

namespace {
constexpr std::array sampler_names{"ddpm", "ddim"};
}

SamplerKind sampler_named(std::string_view name) { return value_named<SamplerKind>(name, sampler_names, "sampler"); }
const char *name_of(SamplerKind kind) { return sampler_names[std::size_t(kind)]; }

SamplerStep ddpm_step(const Schedule &s, int t) {
  const double beta = s.beta[std::size_t(t)], kept = s.alpha_bar[std::size_t(t)];
  const double before = t > 0 ? s.alpha_bar[std::size_t(t - 1)] : 1;
  // mean = from_x0·x0 + from_xt·x_t with x0 = (x_t − √(1 − kept)·eps)/√kept
  const double from_x0 = std::sqrt(before) * beta / (1 - kept),
               from_xt = std::sqrt(1 - beta) * (1 - before) / (1 - kept);
  return {t,
          {from_x0 / std::sqrt(kept) + from_xt, -from_x0 * std::sqrt((1 - kept) / kept),
           std::sqrt(beta * (1 - before) / (1 - kept))}};
}

SamplerStep ddim_step(const Schedule &s, int t, int next, double eta) {
  const double kept = s.alpha_bar[std::size_t(t)], then = next >= 0 ? s.alpha_bar[std::size_t(next)] : 1;
  const double sigma = eta * std::sqrt((1 - then) / (1 - kept) * (1 - kept / then));
  return {t,
          {std::sqrt(then / kept), std::sqrt(1 - then - sigma * sigma) - std::sqrt(then * (1 - kept) / kept), sigma}};
}

std::vector<SamplerStep> sampler_steps(const Schedule &s, SamplerKind kind, int count, double eta) {
  std::vector<SamplerStep> all;
  if (kind == SamplerKind::ddpm) {
    for (int t = s.steps() - 1; t >= 0; --t)
      all.push_back(ddpm_step(s, t));
    return all;
  }
  if (count < 1 || count > s.steps())
    throw InputError("sampler: found ", count, " DDIM steps, expected 1 to ", s.steps());
  const auto time = [&](int i) { // i = 0: the last time, S − 1; i = count − 1: time 0 (or S − 1, if it is the only one)
    return int(std::lround((s.steps() - 1) * (count == 1 ? 1.0 : 1 - double(i) / (count - 1))));
  };
  for (int i = 0; i < count; ++i)
    all.push_back(ddim_step(s, time(i), i + 1 < count ? time(i + 1) : -1, eta));
  return all;
}

} // namespace theta
