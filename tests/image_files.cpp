#include "image_files.h"

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
#define STB_IMAGE_WRITE_IMPLEMENTATION
#define STB_IMAGE_WRITE_STATIC
#include <stb/stb_image_write.h>
#pragma GCC diagnostic pop

namespace theta::test {

std::string picture_bytes(Picture kind, int width, int height, int channels, const std::vector<std::uint8_t> &pixels) {
  std::string bytes;
  const auto append = [](void *to, void *data, int n) {
    static_cast<std::string *>(to)->append(static_cast<const char *>(data), std::size_t(n));
  };
  switch (kind) {
  case Picture::png:
    stbi_write_png_to_func(append, &bytes, width, height, channels, pixels.data(), width * channels);
    break;
  case Picture::jpeg:
    stbi_write_jpg_to_func(append, &bytes, width, height, channels, pixels.data(), 95);
    break;
  case Picture::bmp:
    stbi_write_bmp_to_func(append, &bytes, width, height, channels, pixels.data());
  }
  return bytes;
}

} // namespace theta::test
