// A small RGB picture to draw charts on, saved as PNG.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace theta {

struct Color {
  std::uint8_t r, g, b;
};

class Canvas {
public:
  Canvas(int width, int height, Color background = {255, 255, 255});
  int width() const { return width_; }
  int height() const { return height_; }
  const std::vector<std::uint8_t> &rgb() const { return rgb_; } // [height, width, 3]

  void pixel(int x, int y, Color); // outside: nothing
  void rectangle(int x, int y, int width, int height, Color);
  void line(double x0, double y0, double x1, double y1, Color, double thickness = 1.5);
  void text(int x, int y, const std::string &text, Color, int scale = 1); // upper left corner; 8·scale pixels a line
  void paste(int x, int y, const Canvas &other);                          // its upper left corner at (x, y)
  static int text_width(const std::string &text, int scale = 1);

  // Atomic. Throws Error.
  void save(const std::filesystem::path &) const;

private:
  int width_, height_;
  std::vector<std::uint8_t> rgb_;
};

} // namespace theta
