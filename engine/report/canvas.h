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
inline constexpr Color ink{40, 44, 52}; // of letters and axes

class Canvas {
public:
  Canvas(int width, int height, Color background = {255, 255, 255});
  int width() const { return width_; }
  int height() const { return height_; }
  const std::vector<std::uint8_t> &rgb() const { return rgb_; } // [height, width, 3]

  void pixel(int x, int y, Color); // outside: nothing
  void rectangle(int x, int y, int width, int height, Color);
  void line(double x0, double y0, double x1, double y1, Color, double thickness = 1.5);
  void blend(int x, int y, Color, double share); // over what is there
  void text(int x, int y, const std::string &text, Color,
            int size = 13);                      // upper left corner; pixels of a line (font.h)
  void paste(int x, int y, const Canvas &other); // its upper left corner at (x, y)
  static int text_width(const std::string &text, int size = 13);

  std::string png() const;                        // throws Error
  void save(const std::filesystem::path &) const; // atomic; throws Error

private:
  int width_, height_;
  std::vector<std::uint8_t> rgb_;
};

} // namespace theta
