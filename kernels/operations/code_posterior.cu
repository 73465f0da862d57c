#include "code_posterior.h"
#include "kernels/parts/each.cuh"

namespace theta::cuda {

namespace {

// f(element of the batch, that of its second number, level, element of a row) of every code, one thread an element.
template <class F>
void each_code(Stream &s, const float *t, const NoisePath<float> &path_, const CodeElements<float> &p_, const F &f) {
  const auto p = p_;
  const auto path = path_;
  each(s, std::size_t(p.rows) * p.size, [=] __device__(std::size_t i) {
    const std::size_t row = i / p.size, e = i % p.size;
    if (p.second[e] < 0)
      return;
    f(i, row * p.size + p.second[e], path.at(t[row]), e);
  });
}

} // namespace

void code_moments(Stream &s, float *y, const float *z, const float *t, const NoisePath<float> &path,
                  const CodeElements<float> &p) {
  const float *mean = p.mean, *std = p.std;
  const int most = p.most;
  each_code(s, t, path, p, [=] __device__(std::size_t i, std::size_t second, NoiseLevel<float> level, std::size_t e) {
    const auto moments = moments_of<float>(y[i], y[second], z[i], level, mean[e], std[e], most);
    y[i] = moments.first, y[second] = moments.second;
  });
}

void code_targets(Stream &s, float *target, const float *z, const float *t, const NoisePath<float> &path,
                  Objective objective, const CodeElements<float> &p) {
  each_code(s, t, path, p, [=] __device__(std::size_t i, std::size_t second, NoiseLevel<float> level, std::size_t) {
    const float x = data_of(objective, level, z[i], target[i]);
    target[i] = x, target[second] = x * x;
  });
}

void code_answers(Stream &s, float *y, const float *z, const float *t, const NoisePath<float> &path,
                  Objective objective, const CodeElements<float> &p) {
  each_code(s, t, path, p, [=] __device__(std::size_t i, std::size_t second, NoiseLevel<float> level, std::size_t) {
    y[i] = answer_of(objective, level, z[i], y[i]);
    y[second] = 0;
  });
}

} // namespace theta::cuda
