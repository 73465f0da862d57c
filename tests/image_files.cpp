#include "image_files.h"

#include <turbojpeg.h>
#include <zlib.h>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
#define STB_IMAGE_WRITE_IMPLEMENTATION
#define STB_IMAGE_WRITE_STATIC
#include <stb/stb_image_write.h>
#pragma GCC diagnostic pop

namespace theta::test {

std::string picture_bytes(PictureKind kind, int width, int height, int channels,
                          const std::vector<std::uint8_t> &pixels) {
  std::string bytes;
  const auto append = [](void *to, void *data, int n) {
    static_cast<std::string *>(to)->append(static_cast<const char *>(data), std::size_t(n));
  };
  switch (kind) {
  case PictureKind::png:
    stbi_write_png_to_func(append, &bytes, width, height, channels, pixels.data(), width * channels);
    break;
  case PictureKind::jpeg:
    stbi_write_jpg_to_func(append, &bytes, width, height, channels, pixels.data(), 95);
    break;
  case PictureKind::bmp:
    stbi_write_bmp_to_func(append, &bytes, width, height, channels, pixels.data());
  }
  return bytes;
}

std::string cmyk_jpeg(int side) {
  const std::vector<std::uint8_t> inks(std::size_t(4 * side * side), 60);
  unsigned char *bytes = nullptr;
  unsigned long size = 0;
  const tjhandle encoder = tjInitCompress();
  tjCompress2(encoder, inks.data(), side, 0, side, TJPF_CMYK, &bytes, &size, TJSAMP_444, 90, 0);
  const std::string file(reinterpret_cast<const char *>(bytes), size);
  tjFree(bytes), tjDestroy(encoder);
  return file;
}

std::string with_png_header(std::string png, std::size_t at, const std::string &bytes) {
  png.replace(at, bytes.size(), bytes);
  const auto sum = crc32(0, reinterpret_cast<const Bytef *>(png.data()) + 12, 17); // of IHDR and its 13 bytes
  for (int i = 0; i < 4; ++i)
    png[29 + std::size_t(i)] = char(sum >> (24 - 8 * i));
  return png;
}

} // namespace theta::test
