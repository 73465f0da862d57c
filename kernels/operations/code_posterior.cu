#include "code_posterior.h"
#include "kernels/parts/each.cuh"

namespace theta::cuda {

void code_moments(Stream &s, float *y, const float *z, const float *t, const NoisePath<float> &path_,
                  const CodeElements<float> &p_) {
  const auto p = p_;
  const auto path = path_;
  each(s, std::size_t(p.rows) * p.size, [=] __device__(std::size_t i) {
    const std::size_t row = i / p.size, e = i % p.size;
    if (p.second[e] < 0)
      return;
    float &second = y[row * p.size + p.second[e]];
    const auto moments = moments_of<float>(y[i], second, z[i], path.at(t[row]), p.mean[e], p.std[e], p.most);
    y[i] = moments.first, second = moments.second;
  });
}

void code_targets(Stream &s, float *target, const float *z, const float *t, const NoisePath<float> &path_,
                  Objective objective, const CodeElements<float> &p_) {
  const auto p = p_;
  const auto path = path_;
  each(s, std::size_t(p.rows) * p.size, [=] __device__(std::size_t i) {
    const std::size_t row = i / p.size, e = i % p.size;
    if (p.second[e] < 0)
      return;
    const float x = data_of(objective, path.at(t[row]), z[i], target[i]);
    target[i] = x, target[row * p.size + p.second[e]] = x * x;
  });
}

void code_answers(Stream &s, float *y, const float *z, const float *t, const NoisePath<float> &path_,
                  Objective objective, const CodeElements<float> &p_) {
  const auto p = p_;
  const auto path = path_;
  each(s, std::size_t(p.rows) * p.size, [=] __device__(std::size_t i) {
    const std::size_t row = i / p.size, e = i % p.size;
    if (p.second[e] < 0)
      return;
    y[i] = answer_of(objective, path.at(t[row]), z[i], y[i]);
    y[row * p.size + p.second[e]] = 0;
  });
}

} // namespace theta::cuda
