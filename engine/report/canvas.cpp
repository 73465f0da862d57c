#include "canvas.h"
#include "data/atomic_file.h"
#include "kernels/device/error.h"
#include <algorithm>
#include <cmath>
#define STB_IMAGE_WRITE_IMPLEMENTATION
#define STB_IMAGE_WRITE_STATIC
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
#include <stb/stb_easy_font.h>
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

void Canvas::line(double x0, double y0, double x1, double y1, Color c, double thickness) {
  const double length = std::max({std::abs(x1 - x0), std::abs(y1 - y0), 1.0});
  const int half = int(std::ceil(thickness / 2));
  for (double i = 0; i <= length; i += 0.5) {
    const double x = x0 + (x1 - x0) * i / length, y = y0 + (y1 - y0) * i / length;
    for (int dy = -half; dy <= half; ++dy)
      for (int dx = -half; dx <= half; ++dx)
        if (dx * dx + dy * dy <= thickness * thickness / 4)
          pixel(int(std::lround(x)) + dx, int(std::lround(y)) + dy, c);
  }
}

void Canvas::text(int x, int y, const std::string &text, Color c, int scale) {
  struct Vertex {
    float x, y, z;
    std::uint8_t color[4];
  };
  std::vector<Vertex> quads(text.size() * 80 + 4);
  std::string mutable_text = text;
  const int count =
      stb_easy_font_print(0, 0, mutable_text.data(), nullptr, quads.data(), int(quads.size() * sizeof(Vertex)));
  for (int q = 0; q < count; ++q) {
    const Vertex &low = quads[std::size_t(q) * 4], &high = quads[std::size_t(q) * 4 + 2];
    rectangle(x + int(low.x) * scale, y + int(low.y) * scale, int(high.x - low.x) * scale, int(high.y - low.y) * scale,
              c);
  }
}

int Canvas::text_width(const std::string &text, int scale) {
  std::string mutable_text = text;
  return stb_easy_font_width(mutable_text.data()) * scale;
}

void Canvas::save(const std::filesystem::path &path) const {
  std::string png;
  const auto append = [](void *to, void *data, int size) {
    static_cast<std::string *>(to)->append(static_cast<char *>(data), std::size_t(size));
  };
  if (!stbi_write_png_to_func(append, &png, width_, height_, 3, rgb_.data(), width_ * 3))
    throw Error(path.string(), ": cannot be encoded as PNG");
  write_file(path, png);
}

} // namespace theta
