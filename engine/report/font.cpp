#include "font.h"
#include "embedded.h"
#include "kernels/device/error.h"
#include <algorithm>
#include <cmath>
#include <vector>
#define STB_TRUETYPE_IMPLEMENTATION
#define STBTT_STATIC
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
#include <stb/stb_truetype.h>
#pragma GCC diagnostic pop

namespace theta {

namespace {

const stbtt_fontinfo &font() {
  static const stbtt_fontinfo info = [] {
    stbtt_fontinfo made;
    const auto *bytes = reinterpret_cast<const unsigned char *>(font_file().data());
    if (!stbtt_InitFont(&made, bytes, stbtt_GetFontOffsetForIndex(bytes, 0)))
      throw Error("font: DejaVu Sans cannot be read");
    return made;
  }();
  return info;
}

// The next character of UTF-8; what is none stands for itself.
int next_character(const std::string &text, std::size_t &at) {
  const auto byte = [&](std::size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u; };
  const unsigned first = byte(at);
  const std::size_t more = first >= 0xF0 ? 3 : first >= 0xE0 ? 2 : first >= 0xC0 ? 1 : 0;
  unsigned code = more == 3 ? first & 0x07 : more == 2 ? first & 0x0F : more == 1 ? first & 0x1F : first;
  for (std::size_t i = 1; i <= more; ++i)
    code = code << 6 | (byte(at + i) & 0x3F);
  at += more + 1;
  return int(code);
}

// place(character, x) for each, at a scale; returns where the next would begin.
template <class F> double lay_out(const std::string &text, float scale, F place) {
  double x = 0;
  for (std::size_t at = 0; at < text.size();) {
    const int character = next_character(text, at);
    place(character, x);
    int advance = 0, left = 0;
    stbtt_GetCodepointHMetrics(&font(), character, &advance, &left);
    x += double(scale) * advance;
  }
  return x;
}

} // namespace

int width_of_text(const std::string &text, int pixels) {
  const float scale = stbtt_ScaleForPixelHeight(&font(), float(pixels));
  return int(std::ceil(lay_out(text, scale, [](int, double) {})));
}

void rasterise(const std::string &text, int pixels, const std::function<void(int, int, double)> &cover) {
  const float scale = stbtt_ScaleForPixelHeight(&font(), float(pixels));
  int ascent = 0, descent = 0, gap = 0;
  stbtt_GetFontVMetrics(&font(), &ascent, &descent, &gap);
  const int base = int(std::lround(double(scale) * ascent));
  std::vector<unsigned char> share;
  lay_out(text, scale, [&](int character, double x) {
    const float shift = float(x - std::floor(x));
    int x0 = 0, y0 = 0, x1 = 0, y1 = 0;
    stbtt_GetCodepointBitmapBoxSubpixel(&font(), character, scale, scale, shift, 0, &x0, &y0, &x1, &y1);
    const int width = x1 - x0, height = y1 - y0;
    if (width <= 0 || height <= 0)
      return;
    share.assign(std::size_t(width) * std::size_t(height), 0);
    stbtt_MakeCodepointBitmapSubpixel(&font(), share.data(), width, height, width, scale, scale, shift, 0, character);
    for (int j = 0; j < height; ++j)
      for (int i = 0; i < width; ++i)
        if (const unsigned char s = share[std::size_t(j) * std::size_t(width) + std::size_t(i)])
          cover(int(std::floor(x)) + x0 + i, base + y0 + j, s / 255.0);
  });
}

} // namespace theta
