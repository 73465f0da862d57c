// Image files for tests, written by stb_image_write and libjpeg-turbo.
#pragma once
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace theta::test {

enum class PictureKind { png, jpeg, bmp };
// pixels [height, width, channels]. Defined in tests/image_files.cpp.
std::string picture_bytes(PictureKind, int width, int height, int channels, const std::vector<std::uint8_t> &pixels);
// A JPEG of four inks, side x side.
std::string cmyk_jpeg(int side);
// A PNG whose header holds other bytes from a place on, with a checksum that is right.
std::string with_png_header(std::string png, std::size_t at, const std::string &bytes);

inline void write_bytes(const std::filesystem::path &path, const std::string &bytes) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << bytes;
}

} // namespace theta::test
