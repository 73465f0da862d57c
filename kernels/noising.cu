#include "each.cuh"
#include "noising.h"

namespace theta::cuda {

void draw_times(Stream &s, float *t, int rows, int repeat, NoiseSchedule schedule, const Draws &d) {
  each(s, std::size_t(rows), [=] __device__(std::size_t r) {
    const float u = uniform01(philox(d.seed, d.purpose, d.first_stream + std::uint32_t(r), d.first_index).word[0]);
    const int stratum = int(r) % repeat * (rows / repeat) + int(r) / repeat;
    t[r] = training_time(schedule, (float(stratum) + u) / float(rows));
  });
}

void mix_noise(Stream &s, float *xt, float *target, const float *x0, const float *eps, const float *start,
               const std::int32_t *place, const float *t, int rows, std::size_t cols, NoiseSchedule schedule,
               Objective objective) {
  each(s, rows * cols, [=] __device__(std::size_t i) {
    const NoiseLevel<float> level = level_at(schedule, t[i / cols]), wanted = target_of(objective, level);
    const float data = x0[i], noise = place[i % cols] < 0 ? 0 : eps[i];
    xt[i] = level.signal * data + level.noise * noise;
    target[i] = wanted.signal * data + wanted.noise * noise - (start ? start[i] : 0);
  });
}

void clear_padding(Stream &s, float *x, const std::int32_t *place, int rows, std::size_t cols) {
  each(s, rows * cols, [=] __device__(std::size_t i) {
    if (place[i % cols] < 0)
      x[i] = 0;
  });
}

void number_features(Stream &s, float *out, const float *t, int rows, int width) {
  const std::size_t half = std::size_t(width) / 2;
  each(s, rows * half, [=] __device__(std::size_t e) {
    const std::size_t r = e / half, i = e % half;
    const bool told = t[r] == t[r]; // not NaN
    const float angle = told ? t[r] * powf(1000, float(i) / float(half - 1)) : 0;
    out[r * std::size_t(width) + i] = told ? sinf(angle) : 0;
    out[r * std::size_t(width) + half + i] = told ? cosf(angle) : 0;
  });
}

void label_features(Stream &s, float *out, const float *label, int rows, int classes) {
  each(s, std::size_t(rows) * classes,
       [=] __device__(std::size_t e) { out[e] = label[e / classes] == float(e % classes) ? 1 : 0; });
}

void place_features(Stream &s, float *out, int count, int width) {
  const int half = width / 2;
  each(s, std::size_t(count) * width, [=] __device__(std::size_t e) {
    const int i = int(e / width), j = int(e % width);
    const float angle = float(i) * powf(10000, -float(j % half) / float(half));
    out[e] = j < half ? sinf(angle) : j < 2 * half ? cosf(angle) : 0;
  });
}

void copy_rows(Stream &s, float *to, std::size_t to_step, const float *from, std::size_t from_step, int rows,
               std::size_t cols) {
  each(s, rows * cols,
       [=] __device__(std::size_t e) { to[e / cols * to_step + e % cols] = from[e / cols * from_step + e % cols]; });
}

} // namespace theta::cuda
