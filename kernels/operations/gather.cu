#include "gather.h"
#include "kernels/parts/each.cuh"

namespace theta::cuda {

namespace {

// One warp an image: its lanes find the example once, and then read neighbouring pixels.
constexpr unsigned warps = 8;

__global__ void gather_images_kernel(float *x, std::uint8_t *label_out, const std::uint8_t *image,
                                     const std::uint8_t *label, int pixels, float scale, float shift, BatchOrder p,
                                     Augmentation a) {
  const std::size_t to = std::size_t(blockIdx.x) * warps + threadIdx.y;
  if (to >= std::size_t(p.networks) * p.batch)
    return;
  const std::size_t from = p.example(int(to / p.batch), int(to % p.batch));
  if (threadIdx.x == 0)
    label_out[to] = label[from];
  if (!a.any()) {
    for (int i = int(threadIdx.x); i < pixels; i += 32)
      x[to * pixels + i] = image[from * pixels + i] * scale + shift;
    return;
  }
  const auto drawn = a.draw(p, int(to / p.batch), int(to % p.batch));
  for (int i = int(threadIdx.x); i < pixels; i += 32) {
    const int at = a.source(drawn, i);
    const float value = at == a.outside ? shift : at == a.nowhere ? 0.0f : image[from * pixels + at] * scale + shift;
    x[to * pixels + i] = value;
  }
}

} // namespace

void gather_images(Stream &s, float *x, std::uint8_t *label_out, const std::uint8_t *image, const std::uint8_t *label,
                   int pixels, double scale, double shift, const BatchOrder &p, const Augmentation &a) {
  launch(gather_images_kernel, blocks_for(std::size_t(p.networks) * p.batch, warps), dim3(32, warps), 0, s, x,
         label_out, image, label, pixels, float(scale), float(shift), p, a);
}

void gather_rows(Stream &s, float *y, const float *x, std::size_t cols, const BatchOrder &order) {
  const BatchOrder p = order;
  each(s, p.batch * cols, [=] __device__(std::size_t i) { y[i] = x[p.example(0, int(i / cols)) * cols + i % cols]; });
}

void normalise_images(Stream &s, float *x, const std::uint8_t *image, std::size_t n, double scale, double shift) {
  each(s, n, [=] __device__(std::size_t i) { x[i] = image[i] * float(scale) + float(shift); });
}

void copy_rows(Stream &s, float *to, std::size_t to_step, const float *from, std::size_t from_step, int rows,
               std::size_t cols) {
  each(s, rows * cols,
       [=] __device__(std::size_t e) { to[e / cols * to_step + e % cols] = from[e / cols * from_step + e % cols]; });
}

} // namespace theta::cuda
