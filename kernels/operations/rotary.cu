#include "kernels/parts/each.cuh"
#include "rotary.h"

namespace theta::cuda {

void rotate(Stream &s, float *y, const float *x, const Rotary &rotary) {
  const Rotary p = rotary;
  const std::size_t half = std::size_t(p.head) / 2, width = std::size_t(p.heads) * p.head;
  each(s, std::size_t(p.sequences) * p.tokens * p.heads * half, [=] __device__(std::size_t i) {
    const std::size_t k = i % half, h = i / half % p.heads, token = i / half / p.heads;
    const auto turn = p.turn<float>(int(token % p.tokens), int(k));
    std::size_t a = token * 3 * width + h * p.head + k;
    for (int part = 0; part < 2; ++part, a += width) {
      const float re = x[a], im = x[a + half];
      y[a] = re * turn.cosine - im * turn.sine, y[a + half] = re * turn.sine + im * turn.cosine;
    }
    y[a] = x[a], y[a + half] = x[a + half];
  });
}

} // namespace theta::cuda
