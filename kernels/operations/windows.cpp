#include "windows.h"
#include "kernels/device/parallel.h"
#include "kernels/device/trace.h"

namespace theta {

namespace cuda {
decltype(theta::gather_windows<float>) gather_windows;
} // namespace cuda

template <class T>
void gather_windows(Stream &s, T *x, std::uint8_t *next, const CharacterSet &set, const float *share,
                    const WindowOrder &p) {
  const double elements = 1.0 * p.networks * p.batch * p.context;
  const Span span(s, "gather_windows", elements * (3 + sizeof(T)));
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda())
      return cuda::gather_windows(s, x, next, set, share, p);
  parallel_for(p.networks, p.batch, elements, [&](int n, int b) {
    const std::size_t to = (std::size_t(n) * std::size_t(p.batch) + std::size_t(b)) * std::size_t(p.context);
    const std::uint8_t *from =
        set.code + p.place(n, b, set.begin, share + std::size_t(n) * std::size_t(set.classes), set.classes);
    for (std::size_t t = 0; t < std::size_t(p.context); ++t)
      x[to + t] = T(from[t]), next[to + t] = from[t + 1];
  });
}

template void gather_windows(Stream &, float *, std::uint8_t *, const CharacterSet &, const float *,
                             const WindowOrder &);
template void gather_windows(Stream &, double *, std::uint8_t *, const CharacterSet &, const float *,
                             const WindowOrder &);

} // namespace theta
