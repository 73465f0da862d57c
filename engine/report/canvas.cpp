#include "canvas.h"
#include "data/atomic_file.h"
#include "font.h"
#include "kernels/device/error.h"
#include <algorithm>
#include <cmath>
#define STB_IMAGE_WRITE_IMPLEMENTATION
#define STB_IMAGE_WRITE_STATIC
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
#include <stb/stb_image_write.h>
#pragma GCC diagnostic pop

namespace theta {

Canvas::Canvas(int width, int height, Color background)
    : width_(width), height_(height), rgb_(std::size_t(width) * std::size_t(height) * 3) {
  rectangle(0, 0, width, height, background);
}

void Canvas::pixel(int x, int y, Color c) {
  if (x < 0 || y < 0 || x >= width_ || y >= height_)
    return;
  std::uint8_t *at = rgb_.data() + (std::size_t(y) * std::size_t(width_) + std::size_t(x)) * 3;
  at[0] = c.r, at[1] = c.g, at[2] = c.b;
}

void Canvas::blend(int x, int y, Color c, double share) {
  if (x < 0 || y < 0 || x >= width_ || y >= height_)
    return;
  std::uint8_t *at = rgb_.data() + (std::size_t(y) * std::size_t(width_) + std::size_t(x)) * 3;
  const auto mixed = [&](std::uint8_t below, std::uint8_t above) {
    return std::uint8_t(std::lround(below + share * (double(above) - double(below))));
  };
  at[0] = mixed(at[0], c.r), at[1] = mixed(at[1], c.g), at[2] = mixed(at[2], c.b);
}

void Canvas::paste(int x0, int y0, const Canvas &other) {
  for (int y = 0; y < other.height_; ++y)
    for (int x = 0; x < other.width_; ++x) {
      const std::uint8_t *c = &other.rgb_[(std::size_t(y) * std::size_t(other.width_) + std::size_t(x)) * 3];
      pixel(x0 + x, y0 + y, {c[0], c[1], c[2]});
    }
}

void Canvas::rectangle(int x, int y, int width, int height, Color c) {
  for (int j = y; j < y + height; ++j)
    for (int i = x; i < x + width; ++i)
      pixel(i, j, c);
}

// Each pixel is covered as far as its middle is from the line.
void Canvas::line(double x0, double y0, double x1, double y1, Color c, double thickness) {
  const double dx = x1 - x0, dy = y1 - y0, squared = dx * dx + dy * dy, half = thickness / 2 + 0.5;
  const int left = std::max(0, int(std::floor(std::min(x0, x1) - half))),
            right = int(std::ceil(std::max(x0, x1) + half)),
            top = std::max(0, int(std::floor(std::min(y0, y1) - half))), low = int(std::ceil(std::max(y0, y1) + half));
  for (int y = top; y <= std::min(low, height_ - 1); ++y) {
    double first = left, last = std::min(right, width_ - 1);
    if (std::abs(dy) > 1e-9 && std::abs(dx) > 1e-9) { // of this row only what is near
      const double reach = half * std::sqrt(squared) / std::abs(dy), at = x0 + (y - y0) * dx / dy;
      first = std::max(first, std::floor(at - reach)), last = std::min(last, std::ceil(at + reach));
    }
    for (int x = int(first); x <= int(last); ++x) {
      const double t = squared > 0 ? std::clamp(((x - x0) * dx + (y - y0) * dy) / squared, 0.0, 1.0) : 0;
      const double away = std::hypot(x - x0 - t * dx, y - y0 - t * dy);
      if (const double share = std::clamp(half - away, 0.0, 1.0); share > 0)
        blend(x, y, c, share);
    }
  }
}

void Canvas::text(int x, int y, const std::string &text, Color c, int size) {
  rasterise(text, size, [&](int i, int j, double share) { blend(x + i, y + j, c, share); });
}

int Canvas::text_width(const std::string &text, int size) { return width_of_text(text, size); }

std::string Canvas::png() const {
  std::string png;
  const auto append = [](void *to, void *data, int size) {
    static_cast<std::string *>(to)->append(static_cast<char *>(data), std::size_t(size));
  };
  if (!stbi_write_png_to_func(append, &png, width_, height_, 3, rgb_.data(), width_ * 3))
    throw Error("a picture of ", width_, " x ", height_, " pixels cannot be encoded as PNG");
  return png;
}

void Canvas::save(const std::filesystem::path &path) const { write_file(path, png()); }

} // namespace theta
