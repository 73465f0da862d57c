#include "kernels/parts/each.cuh"
#include "windows.h"

namespace theta::cuda {

// A thread a character; the threads of a window draw its place alike.
void gather_windows(Stream &s, float *x, std::uint8_t *next, const CharacterSet &characters, const float *share,
                    const WindowOrder &order) {
  const WindowOrder p = order;
  const CharacterSet set = characters;
  each(s, std::size_t(p.networks) * p.batch * p.context, [=] __device__(std::size_t i) {
    const std::size_t t = i % p.context, window = i / p.context;
    const int b = int(window % p.batch), n = int(window / p.batch);
    const std::uint8_t *from =
        set.code + p.place(n, b, set.begin, share + std::size_t(n) * set.classes, set.classes) + t;
    x[i] = float(from[0]), next[i] = from[1];
  });
}

} // namespace theta::cuda
