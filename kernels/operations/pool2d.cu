#include "kernels/parts/each.cuh"
#include "pool2d.h"

namespace theta::cuda {

void max_pool2d(Stream &s, float *y, std::uint8_t *which, const float *x, const Pool2d &p) {
  const int height = p.out_height(), width = p.out_width();
  each(s, p.y_size(), [=] __device__(std::size_t i) {
    const float *from = x + i / (std::size_t(height) * width) * p.in_height * p.in_width;
    const int u = int(i / width % height), v = int(i % width);
    int best = -1;
    float largest = 0;
    for (int t = 0; t < p.window * p.window; ++t) {
      const int row = u * p.stride + t / p.window - p.padding, column = v * p.stride + t % p.window - p.padding;
      if (row < 0 || row >= p.in_height || column < 0 || column >= p.in_width)
        continue;
      const float value = from[row * p.in_width + column];
      if (best < 0 || value > largest || value != value)
        largest = value, best = t;
    }
    y[i] = largest, which[i] = std::uint8_t(best);
  });
}

void max_pool2d_backward(Stream &s, float *dx, const float *dy, const std::uint8_t *which, const Pool2d &p,
                         bool accumulate) {
  const int height = p.out_height(), width = p.out_width();
  each(s, p.x_size(), [=] __device__(std::size_t i) {
    const int row = int(i / p.in_width % p.in_height), column = int(i % p.in_width);
    const std::size_t plane = i / (std::size_t(p.in_height) * p.in_width) * height * width;
    float sum = accumulate ? dx[i] : 0;
    for (int t = 0; t < p.window * p.window; ++t) { // the windows that it stands at place t of
      const int down = row + p.padding - t / p.window, right = column + p.padding - t % p.window;
      const int u = down / p.stride, v = right / p.stride;
      if (down < 0 || right < 0 || down % p.stride != 0 || right % p.stride != 0 || u >= height || v >= width)
        continue;
      const std::size_t from = plane + std::size_t(u) * width + v;
      sum += which[from] == t ? dy[from] : 0;
    }
    dx[i] = sum;
  });
}

} // namespace theta::cuda
